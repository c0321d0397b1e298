package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReplicaOptions says what a Replica reads.
type ReplicaOptions struct {
	// Kafka says how to reach the brokers.
	Kafka []kgo.Opt
	// Topics are read whole: each process has its own copy of what they say.
	Topics []schemas.Topic
	// Since leaves out what was produced before; the zero time leaves nothing out.
	Since time.Time
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Replica reads topics from the beginning, or from a time on, and goes on with what is
// produced. It is in no group and commits nothing. Make it with NewReplica; it runs once.
type Replica struct {
	opts    ReplicaOptions
	started atomic.Bool
	begun   chan struct{} // closed once Run has a client

	mu      sync.Mutex
	admin   *kadm.Client                        // nil unless running
	next    *listing                            // the one that Sync asks for next; nil if nobody does
	reached map[schemas.Topic]map[int32]int64   // the next offset to apply
	moved   chan struct{}                       // closed and replaced when reached grows
	caught  bool                                // what was there at the start is applied
	failing map[schemas.Topic]map[int32]failing // partitions Kafka does not deliver

	listing    sync.Mutex // held while a listing is made
	pollErrors everySoOften
}

type failing struct {
	since time.Time
	err   error
}

// NewReplica checks the options. It starts nothing and reaches for no broker.
func NewReplica(o ReplicaOptions) (*Replica, error) {
	if len(o.Topics) == 0 {
		return nil, errors.New("consumers: a Replica needs at least one topic")
	}
	orDefault(&o.Logger, slog.Default())
	r := &Replica{
		opts: o, begun: make(chan struct{}), reached: map[schemas.Topic]map[int32]int64{}, moved: make(chan struct{}),
		failing: map[schemas.Topic]map[int32]failing{},
	}
	for _, t := range o.Topics {
		r.reached[t], r.failing[t] = map[int32]int64{}, map[int32]failing{}
	}
	return r, kgo.ValidateOpts(r.kafka()...)
}

func (r *Replica) names() []string {
	var names []string
	for _, t := range r.opts.Topics {
		names = append(names, string(t))
	}
	return names
}

func (r *Replica) kafka() []kgo.Opt {
	from := kgo.NewOffset().AtStart()
	if !r.opts.Since.IsZero() {
		from = kgo.NewOffset().AfterMilli(r.opts.Since.UnixMilli())
	}
	return append(append([]kgo.Opt{kgo.FetchMaxWait(fetchMaxWait)}, r.opts.Kafka...),
		kgo.ConsumeTopics(r.names()...),
		kgo.ConsumeResetOffset(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
	)
}

// Run calls apply with every record, in order within a partition, on one goroutine,
// until ctx is cancelled; then it returns nil. A nil value is a tombstone. apply must
// not keep key or value. Brokers that are down are waited for.
func (r *Replica) Run(ctx context.Context, apply func(topic schemas.Topic, key, value []byte)) error {
	if !r.started.CompareAndSwap(false, true) {
		return errors.New("consumers: a Replica runs once; make another with NewReplica")
	}
	client, err := kgo.NewClient(r.kafka()...)
	if err != nil {
		return fmt.Errorf("consumers: Kafka client: %w", err)
	}
	defer client.Close()
	r.mu.Lock()
	r.admin = kadm.NewClient(client)
	r.mu.Unlock()
	close(r.begun)

	catching, stop := context.WithCancel(ctx)
	caughtUp := make(chan struct{})
	go func() {
		defer close(caughtUp)
		r.catchUp(catching)
	}()
	defer func() { <-caughtUp }()
	defer stop()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) { r.take(f, apply) })
	}
}

func (r *Replica) take(f kgo.FetchTopicPartition, apply func(topic schemas.Topic, key, value []byte)) {
	topic := schemas.Topic(f.Topic)
	for _, record := range f.Records {
		if !record.Attrs.IsControl() {
			apply(topic, record.Key, record.Value)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Err != nil {
		if partitions, ok := r.failing[topic]; ok {
			if _, known := partitions[f.Partition]; !known {
				partitions[f.Partition] = failing{time.Now(), f.Err}
			}
		}
		if r.pollErrors.now() {
			r.opts.Logger.Warn("Kafka does not deliver; retrying", "topic", f.Topic, "partition", f.Partition, "error", f.Err)
		}
		return
	}
	delete(r.failing[topic], f.Partition)
	if n := len(f.Records); n > 0 {
		r.reached[topic][f.Partition] = f.Records[n-1].Offset + 1
		close(r.moved)
		r.moved = make(chan struct{})
	}
}

// catchUp notes when what was there at the start is applied.
func (r *Replica) catchUp(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.Sync(ctx); err == nil {
			r.mu.Lock()
			r.caught = true
			r.mu.Unlock()
			return
		} else if ctx.Err() == nil {
			r.opts.Logger.Warn("topics are not read to their ends yet; retrying", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// Started is closed once Run reads, so that Sync can be called.
func (r *Replica) Started() <-chan struct{} { return r.begun }

// Ready is nil once what was there at the start is applied and nothing has been failing
// for more than a few seconds.
func (r *Replica) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.caught {
		return fmt.Errorf("%v are not read to their ends yet", r.opts.Topics)
	}
	for topic, partitions := range r.failing {
		for p, f := range partitions {
			if time.Since(f.since) > stuckAfter {
				return fmt.Errorf("%s partition %d: %w", topic, p, f.err)
			}
		}
	}
	return nil
}
