package admin

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cdds/ops/auth"
	"cdds/schemas"
)

// DeadLetter is a record that nobody could read, as it is shown.
type DeadLetter struct {
	// LetterID identifies the letter by what it holds: the same record that was put twice has
	// one id.
	LetterID string        `json:"letter_id"`
	Topic    schemas.Topic `json:"topic"`
	// Place is where the letter is in the topic of dead letters.
	Place LetterPlace `json:"place"`
	// Partition and Offset are where the record was in Topic, Time when it was published.
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Time      schemas.Time `json:"time"`
	// Code and Reason say what is wrong with it.
	Code   string `json:"code"`
	Reason string `json:"reason"`
	// Key and Value are its first bytes, escaped; Bytes is how many its value has.
	Key   string `json:"key"`
	Value string `json:"value"`
	Bytes int64  `json:"bytes"`
	// Cut says that the letter has only the beginning of the record.
	Cut bool `json:"cut,omitempty"`
	// Again counts how often the record was published again before, the last time from the
	// letter From. Whoever writes to the topic may claim that.
	Again int    `json:"published_again_before,omitempty"`
	From  string `json:"from_letter,omitempty"`
	// Record is what the letter kept; only where one letter is shown.
	Record *schemas.DeadLetter `json:"-"`
}

// LetterPlace is where a letter is in its topic of dead letters.
type LetterPlace struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// Letters are the dead letters in Kafka.
type Letters interface {
	// Latest reads the latest of a topic, at most so many of each partition.
	Latest(ctx context.Context, topic schemas.Topic, most int) ([]DeadLetter, error)
	// One reads a letter whole, or is ErrNotFound.
	One(ctx context.Context, topic schemas.Topic, at LetterPlace) (DeadLetter, error)
	// Publish publishes a record to its topic, to the partition it had if there is one, and
	// returns where it is.
	Publish(ctx context.Context, record schemas.DeadLetter) (partition int32, position int64, err error)
}

// LettersShown is how many of the latest dead letters of each topic DeadLetters reads.
const LettersShown = 50

// LetterTopics are the topics whose dead letters are shown: those that others publish to.
func LetterTopics() []schemas.Topic {
	return append(schemas.SourceTopics(), schemas.TopicExportRequests, schemas.TopicErasureRequests)
}

// DeadLetters are the latest dead letters of some topics, the latest first. They may hold
// anybody's data: they are for administrators of all tenants, and that they were shown is
// recorded.
func (h *Handle) DeadLetters(ctx context.Context, topics ...schemas.Topic) (all []DeadLetter, err error) {
	if err := h.ofNoTenant(h.changes(ctx, auth.Manage, "letters.show", "dead letters")); err != nil {
		return nil, err
	}
	for _, topic := range topics {
		if !slices.Contains(LetterTopics(), topic) {
			return nil, ErrNotFound
		}
		found, err := h.Letters.Latest(ctx, topic, LettersShown)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b DeadLetter) int {
		return cmp.Or(b.Time.Compare(a.Time), strings.Compare(string(a.Topic), string(b.Topic)), cmp.Compare(b.Offset, a.Offset))
	})
	return all, h.change(ctx, "letters.show", "dead letters", schemas.Counted(len(all), "record"))
}

// escapedBytes is how much of a record is shown.
const escapedBytes = 240

// excerptBytes is how much of a record the page of a letter shows.
const excerptBytes = 16 << 10

// Escaped are the first bytes of a record as text: what cannot be printed is written as its
// bytes.
func Escaped(b []byte) string { return escaped(b, escapedBytes) }

// Excerpt is Escaped of more bytes.
func Excerpt(b []byte) string { return escaped(b, excerptBytes) }

func escaped(b []byte, most int) string {
	var text strings.Builder
	for rest := b[:min(len(b), most)]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r != utf8.RuneError && unicode.IsPrint(r) {
			text.WriteRune(r)
		} else {
			for _, c := range rest[:size] {
				text.WriteString(`\x` + strconv.FormatUint(uint64(c)+256, 16)[1:])
			}
		}
		rest = rest[size:]
	}
	if len(b) > most {
		text.WriteString(" …")
	}
	return text.String()
}
