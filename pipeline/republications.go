package pipeline

import (
	"context"
	"errors"
	"fmt"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Republications are the stored decisions to publish dead letters again, each made once:
// two people who decide on the same letter do not publish it twice.
type Republications struct {
	// Store keeps the decisions.
	Store Store
}

// Republication is the decision to publish a dead letter again, and where it was published.
type Republication struct {
	Topic    schemas.Topic `json:"topic"`
	LetterID string        `json:"letter_id"`
	By       string        `json:"by"`
	// At is when it was decided, PublishedAt when Kafka had acknowledged the record: not set
	// while it is being published, or if that was interrupted.
	At          schemas.Time `json:"at"`
	PublishedAt schemas.Time `json:"published_at,omitzero"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
}

func (r Republication) key(name string) string {
	return fmt.Sprintf("%sletters/%s/%s/%s.json", Reserved, r.Topic, r.LetterID, name)
}

// The documents of a republication.
const (
	decided   = "decided"
	published = "published"
)

// Of returns what was decided on a letter; false if nothing was.
func (s Republications) Of(ctx context.Context, topic schemas.Topic, letterID string) (r Republication, ok bool, err error) {
	of := Republication{Topic: topic, LetterID: letterID}
	for _, name := range []string{published, decided} {
		key := of.key(name)
		content, err := s.Store.GetBytes(ctx, key, maxDocument)
		if errors.Is(err, bucket.ErrNotFound) {
			continue
		}
		if err == nil {
			err = decodeDocument(key, content, &r)
		}
		return r, err == nil, err
	}
	return r, false, nil
}

// Decide records the decision, and returns the one that counts: another if somebody was
// first.
func (s Republications) Decide(ctx context.Context, r Republication) (Republication, error) {
	err := s.record(ctx, decided, r)
	if !errors.Is(err, bucket.ErrExists) {
		return r, err
	}
	first, ok, err := s.Of(ctx, r.Topic, r.LetterID)
	if err == nil && !ok {
		err = fmt.Errorf("the decision on dead letter %s is there and cannot be read", r.LetterID)
	}
	return first, err
}

// Published records where the record was published. The first record counts.
func (s Republications) Published(ctx context.Context, r Republication) error {
	if err := s.record(ctx, published, r); !errors.Is(err, bucket.ErrExists) {
		return err
	}
	return nil
}

func (s Republications) record(ctx context.Context, name string, r Republication) error {
	content, err := schemas.Encode(r)
	if err != nil {
		return err
	}
	return s.Store.PutBytes(ctx, r.key(name), content, schemas.ContentTypeJSON)
}
