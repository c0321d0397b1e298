package pipeline

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// WriteOffs are the stored decisions which records are lost for good. They are in the
// bucket because they must outlive both Kafka and ClickHouse, of which one lost the records.
type WriteOffs struct {
	// Store keeps the decisions.
	Store Store
}

func writeOffKey(topic schemas.Topic, n int) string {
	return fmt.Sprintf("%swrite-offs/%s/%06d.json", Reserved, topic, n)
}

// All returns the write-offs of a topic, by number: those that are known already, and those
// that were recorded since.
func (s WriteOffs) All(ctx context.Context, topic schemas.Topic, known []schemas.WriteOff) ([]schemas.WriteOff, error) {
	all := known[:len(known):len(known)]
	for {
		key := writeOffKey(topic, len(all)+1)
		content, err := s.Store.GetBytes(ctx, key, maxDocument)
		if errors.Is(err, bucket.ErrNotFound) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("write-offs of topic %s: %w", topic, err)
		}
		var w schemas.WriteOff
		if err := decodeDocument(key, content, &w); err != nil {
			return nil, err
		}
		if err := w.Validate(); err != nil || w.Number != len(all)+1 || w.Topic != topic {
			return nil, Permanent(fmt.Errorf("the stored write-off %s is not valid: %w", key, errors.Join(err, errNotItsNumber)))
		}
		all = append(all, w)
	}
}

var errNotItsNumber = errors.New("its topic and number must match its key")

// Record records a write-off under the next number, and returns it as it is stored.
func (s WriteOffs) Record(ctx context.Context, w schemas.WriteOff) (schemas.WriteOff, error) {
	if err := w.Validate(); err != nil {
		return w, err
	}
	var all []schemas.WriteOff
	for {
		before := len(all)
		var err error
		if all, err = s.All(ctx, w.Topic, all); err != nil {
			return w, err
		}
		// Where the answer got lost, the client has sent the request again: what took the number
		// is this one.
		if w.Number > 0 && slices.ContainsFunc(all[before:], func(x schemas.WriteOff) bool { return reflect.DeepEqual(x, w) }) {
			return w, nil
		}
		w.Number = len(all) + 1
		content, err := schemas.Encode(w)
		if err != nil {
			return w, err
		}
		err = s.Store.PutBytes(ctx, writeOffKey(w.Topic, w.Number), content, schemas.ContentTypeJSON)
		if !errors.Is(err, bucket.ErrExists) { // else somebody took the number
			return w, err
		}
	}
}
