package consumers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"cdds/schemas"
)

// Decisions keep which logs of a topic are one and the same; pipeline.Incarnations does.
type Decisions interface {
	// Lineage returns known and what was decided since.
	Lineage(ctx context.Context, topic schemas.Topic, known schemas.Lineage) (schemas.Lineage, error)
	// Decide records the incarnation after known, unless somebody else did, and returns all.
	Decide(ctx context.Context, topic schemas.Topic, known schemas.Lineage, next schemas.Incarnation) (schemas.Lineage, error)
}

// SettlerOptions of a Settler; Brokers and Decisions are required.
type SettlerOptions struct {
	Brokers   Brokers
	Decisions Decisions
	// Stored returns, per partition of a topic, the first position past all that is stored;
	// it is asked once for each topic: later on committed offsets say how far a log was read.
	// May be nil.
	Stored func(ctx context.Context, topic schemas.Topic) (map[int32]int64, error)
	// Settled is called with each answer of Settle. May be nil.
	Settled func(topic schemas.Topic, l schemas.Lineage)
	// Decided is called by the process that decided that a topic is in another incarnation.
	Decided func(ctx context.Context, i schemas.Incarnation)
	// Name of this process.
	Name   string
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Settler compares what Kafka says of topics with what was decided about them. It is a
// Positions, and safe for concurrent use.
type Settler struct {
	SettlerOptions

	// confirm is how long a log must look truncated.
	confirm time.Duration

	mu    sync.Mutex
	known map[schemas.Topic]schemas.Lineage
	lost  map[schemas.Topic]lost
}

// confirmAfter is longer than brokers need to learn of a topic that was made again. Until
// then some tell the id of the topic that is gone, and others the end of the new one,
// which together look like a log that lost its tail.
const confirmAfter = 2 * time.Second

// NewSettler returns a Settler. It asks nobody yet.
func NewSettler(o SettlerOptions) *Settler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Settler{SettlerOptions: o, confirm: confirmAfter, known: map[schemas.Topic]schemas.Lineage{}, lost: map[schemas.Topic]lost{}}
}

// Settle implements Positions.
func (s *Settler) Settle(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error) {
	l, _, err := s.SettleLog(ctx, topic)
	return l, err
}

// SettleLog is Settle that also returns the log the lineage was settled for.
func (s *Settler) SettleLog(ctx context.Context, topic schemas.Topic) (schemas.Lineage, schemas.Log, error) {
	s.mu.Lock()
	l, known := s.known[topic]
	s.mu.Unlock()
	l, err := s.Decisions.Lineage(ctx, topic, l)
	if err != nil {
		return nil, schemas.Log{}, err
	}
	for confirmed := false; ; {
		log, e, err := s.look(ctx, topic, l, !known)
		if err != nil {
			return nil, log, err
		}
		next, changed := l.Next(log, e.reached, e.used)
		if !changed {
			s.mu.Lock()
			if len(l) > len(s.known[topic]) {
				s.known[topic] = l
			}
			s.mu.Unlock()
			if s.Settled != nil {
				s.Settled(topic, l)
			}
			return l, log, nil
		}
		if next.Cause == schemas.IncarnationTruncated && !confirmed {
			confirmed = true
			select {
			case <-time.After(s.confirm):
				continue
			case <-ctx.Done():
				return nil, log, ctx.Err()
			}
		}
		if l, err = s.decide(ctx, topic, l, next); err != nil {
			return nil, log, err
		}
		confirmed = false
	}
}

// Known is the lineage of a topic as SettleLog found it last; nil if it never did.
func (s *Settler) Known(topic schemas.Topic) schemas.Lineage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[topic]
}

// Unchanged reports whether a topic still is what SettleLog returned.
func (s *Settler) Unchanged(ctx context.Context, l schemas.Lineage, log schemas.Log) (bool, error) {
	now, err := s.Decisions.Lineage(ctx, log.Topic, l)
	if err != nil || len(now) != len(l) {
		return false, err
	}
	id, err := s.Brokers.TopicID(ctx, log.Topic)
	return id == log.TopicID, err
}

func (s *Settler) decide(ctx context.Context, topic schemas.Topic, known schemas.Lineage, next schemas.Incarnation) (schemas.Lineage, error) {
	next.DecidedAt, next.DecidedBy = schemas.TimeOf(s.Now()), s.Name
	l, err := s.Decisions.Decide(ctx, topic, known, next)
	if err != nil || next.Cause == schemas.IncarnationFirst {
		return l, err
	}
	decided, _ := l.Now()
	s.Logger.ErrorContext(ctx, "the topic is not the one that was read before; its records have new positions",
		"topic", topic, "incarnation", decided.Number, "cause", decided.Cause, "topic_id", decided.TopicID, "begins", decided.Begins, "ends", decided.Ends)
	if s.Decided != nil && decided.DecidedBy == next.DecidedBy && decided.DecidedAt == next.DecidedAt {
		s.Decided(ctx, decided)
	}
	return l, nil
}
