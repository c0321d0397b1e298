package consumers

import (
	"context"
	"log/slog"
	"maps"
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
	return &Settler{SettlerOptions: o, confirm: confirmAfter, known: map[schemas.Topic]schemas.Lineage{}}
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
		log, err := s.log(ctx, topic)
		if err != nil {
			return nil, log, err
		}
		reached, used, err := s.evidence(ctx, l, log, !known)
		if err != nil {
			return nil, log, err
		}
		next, changed := l.Next(log, reached, used)
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
	}
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

// log asks Kafka for a topic. Its id is asked for before and after its offsets, which
// Kafka finds by name: they are those of one topic.
func (s *Settler) log(ctx context.Context, topic schemas.Topic) (schemas.Log, error) {
	log := schemas.Log{Topic: topic}
	for {
		id, err := s.Brokers.TopicID(ctx, topic)
		if err != nil {
			return log, err
		}
		if log.Starts, err = s.Brokers.Starts(ctx, topic); err != nil {
			return log, err
		}
		if log.Ends, err = s.Brokers.Ends(ctx, topic); err != nil {
			return log, err
		}
		if log.TopicID, err = s.Brokers.TopicID(ctx, topic); err != nil {
			return log, err
		}
		if id == log.TopicID && len(log.Starts) == len(log.Ends) {
			return log, nil
		}
	}
}

// evidence is how far the topic's log is known to have been read, by offset of the present
// incarnation, and which positions are known to have been used.
func (s *Settler) evidence(ctx context.Context, l schemas.Lineage, log schemas.Log, thorough bool) (map[int32]schemas.Reached, map[int32]int64, error) {
	reached, used := map[int32]schemas.Reached{}, map[int32]int64{}
	epochs := map[int32]int32{}
	for _, base := range schemas.Readers(log.Topic) {
		committed, err := s.Brokers.Committed(ctx, l.Group(base), log.Topic)
		if err != nil {
			return nil, nil, err
		}
		for p, c := range committed {
			if c.Offset > reached[p].Offset {
				reached[p] = schemas.Reached{Offset: c.Offset, Diverges: -1}
				epochs[p] = c.Epoch
			}
		}
	}
	for p, r := range reached {
		used[p] = l.Position(p, r.Offset)
	}
	// A topic with another id than the one that was known: then all evidence counts.
	if s.Stored != nil && (thorough || log.TopicID != l.TopicID()) {
		stored, err := s.Stored(ctx, log.Topic)
		if err != nil {
			return nil, nil, err
		}
		for p, position := range stored {
			used[p] = max(used[p], position)
			if offset, there := l.Offset(p, position-1); there && offset+1 > reached[p].Offset {
				reached[p] = schemas.Reached{Offset: offset + 1, Diverges: -1}
				delete(epochs, p)
			}
		}
	}
	return reached, used, s.diverges(ctx, log.Topic, epochs, reached)
}

// diverges fills in where the brokers' logs part from what was read of them, by the leader
// epochs that were committed with the offsets (KIP-320).
func (s *Settler) diverges(ctx context.Context, topic schemas.Topic, epochs map[int32]int32, reached map[int32]schemas.Reached) error {
	maps.DeleteFunc(epochs, func(_ int32, epoch int32) bool { return epoch < 0 })
	ends, err := s.Brokers.EpochEnds(ctx, topic, epochs)
	if err != nil {
		return err
	}
	for p, end := range ends {
		r := reached[p]
		r.Diverges = min(end, r.Offset)
		reached[p] = r
	}
	return nil
}
