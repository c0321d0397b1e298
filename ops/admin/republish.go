package admin

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cdds/ops/auth"
	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// LetterView is a dead letter with what would come of publishing it again.
type LetterView struct {
	DeadLetter
	// Problem says why it cannot be published again; empty if it can.
	Problem string `json:"problem,omitempty"`
	// TenantID and About are whose record it is and what it is about, read from its content;
	// empty if it cannot be read.
	TenantID string `json:"tenant_id,omitempty"`
	About    string `json:"about,omitempty"`
	// Newer is when another version was published that is newer than the letter; it would be
	// replaced. A copy of the letter, which an interrupted publication left, does not count.
	Newer schemas.Time `json:"newer_version_at,omitzero"`
	// Published is who published it again and where; nil if nobody did.
	Published *pipeline.Republication `json:"published,omitempty"`
	// Unfinished says that Published was interrupted, and may be finished.
	Unfinished bool `json:"unfinished,omitempty"`
}

// LetterIDOf identifies a dead letter by where its record was and what it holds.
func LetterIDOf(l schemas.DeadLetter) string {
	sum := sha256.New()
	add := func(b []byte) {
		_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		_, _ = sum.Write(b)
	}
	add(fmt.Appendf(nil, "%s/%d/%d/%s", l.Topic, l.Partition, l.Offset, l.Time))
	add(l.Key)
	add(l.Value)
	for _, h := range l.Headers {
		add([]byte(h.Key))
		add(h.Value)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Letter shows one dead letter. That it was shown is recorded.
func (h *Handle) Letter(ctx context.Context, topic schemas.Topic, at LetterPlace) (LetterView, error) {
	subject := letterSubject(topic, at)
	if err := h.ofNoTenant(h.changes(ctx, auth.Manage, "letters.show", subject)); err != nil {
		return LetterView{}, err
	}
	v, err := h.letter(ctx, topic, at)
	if err != nil {
		return v, err
	}
	return v, h.change(ctx, "letters.show", subject, "")
}

func letterSubject(topic schemas.Topic, at LetterPlace) string {
	return fmt.Sprintf("%s/%d/%d", topic.DeadLetter(), at.Partition, at.Offset)
}

func (h *Handle) letter(ctx context.Context, topic schemas.Topic, at LetterPlace) (v LetterView, err error) {
	if !slices.Contains(LetterTopics(), topic) {
		return v, ErrNotFound
	}
	if v.DeadLetter, err = h.Letters.One(ctx, topic, at); err != nil {
		return v, err
	}
	if err := h.readAgain(ctx, &v); err != nil {
		return v, err
	}
	r, ok, err := h.Republications.Of(ctx, topic, v.LetterID)
	if ok {
		v.Published, v.Unfinished = &r, h.unfinished(r)
	}
	return v, err
}

// interruptedAfter is when a republication that has no end counts as interrupted: publishing
// takes a minute at most.
const interruptedAfter = 2 * time.Minute

func (h *Handle) unfinished(r pipeline.Republication) bool {
	return r.PublishedAt.IsZero() && h.Now().Sub(r.At.Time) > interruptedAfter
}

// readAgain reads the content of a letter as those will who read its topic. Everything that
// the letter says of itself is a claim: whose it is, is read from the content.
func (h *Handle) readAgain(ctx context.Context, v *LetterView) error {
	if v.Cut {
		v.Problem = fmt.Sprintf("the letter has only the beginning of the record, which had %s; whoever published it must publish it again", schemas.Counted(v.Bytes, "byte"))
		return nil
	}
	if len(v.Record.Value) == 0 {
		v.Problem = "the letter has no content; whoever published the record must publish it again"
		return nil
	}
	about, at, body, err := read(v.Topic, v.Record.Value)
	if err != nil {
		v.Problem = "it still cannot be read, and would be a dead letter again: " + err.Error()
		return nil //nolint:nilerr // it is the letter's error, and shown
	}
	v.TenantID, v.About = about[0].TenantID, about[0].Kind+" "+about[0].ID
	if schemas.EntityOf(v.Topic) == "" {
		return nil
	}
	err = h.Rows.ErasuresOf(ctx, about, func(_ warehouse.Subject, e warehouse.Forgotten) {
		v.Problem = "erasure " + e.ErasureID + " erased its subject; published again, it would bring the data back"
	})
	if err != nil {
		return err
	}
	newest, err := h.Rows.Newest(ctx, v.Topic, v.TenantID, about[0].ID, at, v.Partition)
	if newest.Supersedes(v.Partition, v.Offset, v.Time, body) {
		v.Newer = newest.PublishedAt
	}
	return err
}

// read returns what the content of a record of a topic is about, the thing itself first, and
// the body and the time of the row that it would be, if it would be one.
func read(topic schemas.Topic, content []byte) (about []warehouse.Subject, at schemas.Time, body []byte, err error) {
	switch topic {
	case schemas.TopicInteractions:
		e, err := schemas.DecodeInteraction(slices.Clone(content))
		if err != nil {
			return nil, at, nil, err
		}
		about = []warehouse.Subject{{TenantID: e.TenantID, Kind: schemas.ErasedInteraction, ID: e.InteractionID}}
		if e.ContactID != "" {
			about = append(about, warehouse.Subject{TenantID: e.TenantID, Kind: schemas.ErasedContact, ID: e.ContactID})
		}
		return about, e.StartedAt, e.Body, nil
	case schemas.TopicContacts:
		e, err := schemas.DecodeContact(slices.Clone(content))
		if err != nil {
			return nil, at, nil, err
		}
		return []warehouse.Subject{{TenantID: e.TenantID, Kind: schemas.ErasedContact, ID: e.ContactID}}, e.CreatedAt, e.Body, nil
	case schemas.TopicExportRequests:
		r, err := schemas.DecodeExportRequest(content)
		if err != nil {
			return nil, at, nil, err
		}
		return []warehouse.Subject{{TenantID: r.TenantID, Kind: "export", ID: r.ExportID}}, at, nil, nil
	}
	r, err := schemas.DecodeErasureRequest(content)
	if err != nil {
		return nil, at, nil, err
	}
	return []warehouse.Subject{{TenantID: r.TenantID, Kind: "erasure", ID: r.ErasureID}}, at, nil, nil
}

// PublishLetter publishes a dead letter to its topic again, once: what it holds is decided
// by letterID, so that nothing else is published than was looked at. Where a newer version
// is stored, the letter would become the newest, and is published only with replaceNewer.
func (h *Handle) PublishLetter(ctx context.Context, topic schemas.Topic, at LetterPlace, letterID string, replaceNewer bool) (r pipeline.Republication, err error) {
	const action = "letters.publish"
	subject := letterSubject(topic, at)
	if err := h.ofNoTenant(h.changes(ctx, auth.Manage, action, subject)); err != nil {
		return r, err
	}
	v, err := h.letter(ctx, topic, at)
	if err != nil {
		return r, err
	}
	refuse := func(reason string) (pipeline.Republication, error) {
		return r, h.refuse(ctx, action, subject, &ConflictError{reason})
	}
	switch {
	case v.LetterID != letterID:
		return refuse("there is another letter now; look at it again")
	case v.Published != nil && !v.Unfinished:
		return refuse(publishedBy(*v.Published))
	case v.Problem != "":
		return refuse(v.Problem)
	case !v.Newer.IsZero() && !replaceNewer:
		return refuse(fmt.Sprintf("a newer version of %s was published at %s, and would be replaced; confirm that", v.About, v.Newer))
	}
	mine := pipeline.Republication{Topic: topic, LetterID: letterID, By: h.who.Actor(), At: schemas.TimeOf(h.Now())}
	if r, err = h.Republications.Decide(ctx, mine); err != nil {
		return r, err
	}
	if won := r.By == mine.By && r.At.Equal(mine.At.Time); !won && !h.unfinished(r) {
		return refuse(publishedBy(r))
	}
	ctx = context.WithoutCancel(ctx) // what is decided is done, although who asked has gone away
	r.Partition, r.Offset, err = h.Letters.Publish(ctx, again(v.DeadLetter))
	if err != nil {
		return r, err
	}
	r.PublishedAt = schemas.TimeOf(h.Now())
	// The audit first: what is published is in it, though that may be all that is known of it.
	audited := h.change(ctx, action, subject, fmt.Sprintf("%s of tenant %s, to partition %d, position %d", v.About, v.TenantID, r.Partition, r.Offset))
	return r, errors.Join(h.Republications.Published(ctx, r), audited)
}

func publishedBy(r pipeline.Republication) string {
	if r.PublishedAt.IsZero() {
		return fmt.Sprintf("%s began to publish it again at %s", r.By, r.At)
	}
	return fmt.Sprintf("%s published it again at %s, to partition %d, position %d", r.By, r.PublishedAt, r.Partition, r.Offset)
}

// again is the record of a letter with the headers that say where it comes from.
func again(l DeadLetter) schemas.DeadLetter {
	record := *l.Record
	record.Headers = slices.DeleteFunc(slices.Clone(record.Headers), func(h schemas.Header) bool {
		return h.Key == schemas.HeaderLetter || h.Key == schemas.HeaderPublishedAgain
	})
	record.Headers = append(record.Headers,
		schemas.Header{Key: schemas.HeaderLetter, Value: []byte(l.LetterID)},
		schemas.Header{Key: schemas.HeaderPublishedAgain, Value: []byte(strconv.Itoa(l.Again + 1))})
	return record
}
