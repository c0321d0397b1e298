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
	Topic     schemas.Topic
	Partition int32
	Offset    int64
	Time      schemas.Time
	// Code and Reason say what is wrong with it.
	Code, Reason string
	// Key and Value are its first bytes, escaped; Bytes is how many its value has.
	Key, Value string
	Bytes      int64
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
		found, err := h.Letters(ctx, topic, LettersShown)
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

// Escaped are the first bytes of a record as text: what cannot be printed is written as its
// bytes.
func Escaped(b []byte) string {
	var text strings.Builder
	for rest := b[:min(len(b), escapedBytes)]; len(rest) > 0; {
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
	if len(b) > escapedBytes {
		text.WriteString(" …")
	}
	return text.String()
}
