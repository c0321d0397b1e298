package pipeline

import (
	"context"
	"errors"
	"fmt"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Reserved is the folder of the bucket with what belongs to no tenant. No tenant's id can
// begin like it.
const Reserved = "_cdds/"

func incarnationKey(topic schemas.Topic, n int) string {
	return fmt.Sprintf("%sincarnations/%s/%06d.json", Reserved, topic, n)
}

// Incarnations are the stored decisions which logs of a topic are one and the same. They
// are in the bucket because they must outlive Kafka and ClickHouse alike.
type Incarnations struct {
	// Store keeps the decisions.
	Store Store
	// Copies has them too, in case the bucket is lost. May be nil.
	Copies Copies
}

// Copies keep copies of incarnations; *warehouse.Warehouse does.
type Copies interface {
	// Incarnations returns the copies of a topic's, by number.
	Incarnations(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error)
	// KeepIncarnations is safe to repeat.
	KeepIncarnations(ctx context.Context, all schemas.Lineage) error
}

// Lineage returns the incarnations of a topic: those that are known already, and those that
// were decided since. If the bucket has none at all although there are copies, it was lost:
// the copies are decided again, or positions would be used twice.
func (s Incarnations) Lineage(ctx context.Context, topic schemas.Topic, known schemas.Lineage) (schemas.Lineage, error) {
	l, err := s.stored(ctx, topic, known)
	if err != nil || s.Copies == nil {
		return l, err
	}
	if len(known) > 0 { // what somebody else decided since
		s.keep(ctx, l[len(known):])
		return l, nil
	}
	copies, err := s.Copies.Incarnations(ctx, topic)
	switch {
	case err != nil && len(l) > 0: // whoever asks next makes the copies
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("look for copies of the incarnations of topic %s: %w", topic, err)
	case len(copies) < len(l):
		return l, s.Copies.KeepIncarnations(ctx, l)
	}
	for n := len(l); n < len(copies); n++ {
		if l, err = s.Decide(ctx, topic, l, copies[n]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// stored returns known and what the bucket has beside it.
func (s Incarnations) stored(ctx context.Context, topic schemas.Topic, known schemas.Lineage) (schemas.Lineage, error) {
	l := known[:len(known):len(known)]
	for {
		content, err := s.Store.GetBytes(ctx, incarnationKey(topic, len(l)), maxDocument)
		if errors.Is(err, bucket.ErrNotFound) {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("incarnations of topic %s: %w", topic, err)
		}
		var next schemas.Incarnation
		if err := decodeDocument(incarnationKey(topic, len(l)), content, &next); err != nil {
			return nil, err
		}
		if l, err = extended(l, topic, next); err != nil {
			return nil, err
		}
	}
}

// Decide records the incarnation that follows known and returns all of them. If somebody
// else decided first, theirs is the one that follows.
func (s Incarnations) Decide(ctx context.Context, topic schemas.Topic, known schemas.Lineage, next schemas.Incarnation) (schemas.Lineage, error) {
	var decided schemas.Incarnation
	_, err := once(ctx, s.Store, incarnationKey(topic, len(known)), &decided, func() (schemas.Incarnation, error) { return next, nil })
	if err != nil {
		return nil, fmt.Errorf("decide the incarnation of topic %s: %w", topic, err)
	}
	l, err := extended(known[:len(known):len(known)], topic, decided)
	if err != nil || s.Copies == nil {
		return l, err
	}
	s.keep(ctx, l[len(known):])
	return l, nil
}

// keep copies what was decided. A copy that cannot be made now is made by the next process
// that starts.
func (s Incarnations) keep(ctx context.Context, decided schemas.Lineage) {
	if len(decided) > 0 {
		_ = s.Copies.KeepIncarnations(ctx, decided)
	}
}

func extended(l schemas.Lineage, topic schemas.Topic, next schemas.Incarnation) (schemas.Lineage, error) {
	l = append(l, next)
	if next.Topic != topic {
		return nil, Permanent(fmt.Errorf("the decision stored as incarnation %d of topic %s is about topic %s", len(l)-1, topic, next.Topic))
	}
	if err := l.Check(); err != nil {
		return nil, Permanent(err)
	}
	return l, nil
}
