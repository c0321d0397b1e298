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

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Handler does a role's work on batches.
//
// Handle is called with batches of one partition in offset order, one at a time
// unless Options.InFlight says otherwise, and concurrently for different
// partitions. The batch is never empty. An error means that nothing of the batch
// counts as handled: Handle is called with the same batch again, after a pause, for
// as long as the partition is owned. After a rebalance or a restart the same
// records come again, cut differently. So Handle must be idempotent by position,
// and must turn what can never succeed into a result and return nil. When ctx is
// cancelled the partition is being taken away: Handle must return soon.
type Handler[E any] interface {
	Handle(ctx context.Context, b schemas.Batch[E]) error
}

// Owner is a Handler that has more to do with a partition than to handle its records. Own
// is called, on a goroutine of its own, when a partition becomes this member's. Its ctx
// ends when the partition is taken away or the Group is to stop; Own must then return soon,
// and the partition is handed over once it has. Handle may be called before Own.
type Owner interface {
	Own(ctx context.Context, partition int32)
}

// DeadLetters keeps records that could not be read.
//
// Put stores all of them or returns an error, and is then called again. It must be
// idempotent by position.
type DeadLetters interface {
	Put(ctx context.Context, letters []schemas.DeadLetter) error
}

// Options says what a Group reads, how it cuts batches, and who takes them.
type Options[E any] struct {
	// Cluster has the topic and the group.
	Cluster Cluster
	// GroupID is the consumer group of the topic's first incarnation; see schemas.Lineage.
	GroupID string
	Topic   schemas.Topic
	// Decode reads a record's value; its errors are *schemas.MalformedError. The
	// event may share the value's memory.
	Decode      func([]byte) (E, error)
	Handler     Handler[E]
	DeadLetters DeadLetters

	// A batch is handed over when it has MaxRecords records or MaxBytes bytes, or within
	// Linger after its first record came, at the same moments in all partitions, so that a
	// Handler can put together what comes together; with Linger 0, as soon as there is
	// one. A record counts with its key, value and headers and 256 bytes of its own.
	// Defaults: 1000 records, 4 MiB.
	MaxRecords int
	MaxBytes   int
	Linger     time.Duration
	// MaxBuffered bounds the bytes polled and not yet handled, over all partitions.
	// A batch is at most half of a partition's share of it, or a single record.
	// Default: 3 * MaxBytes.
	MaxBuffered int

	// Positions says which positions the topic's offsets have. Nil: the offsets themselves,
	// for a topic that is never replaced.
	Positions Positions
	// Healed says that a Healer sees to what is read and not handled when a log loses its tail.
	// Without one the Group goes on from what it has committed, below where the new
	// incarnation begins.
	Healed bool
	// settleEvery is how often a running Group looks whether its topic was replaced.
	settleEvery time.Duration
	// recommitEvery is how often positions are committed although they have not moved.
	recommitEvery time.Duration

	// InFlight is how many batches of one partition may be handled at once.
	// Default: 1, strictly in order.
	InFlight int
	// Steady takes chance out of the pauses between retries, so that a run can be repeated.
	Steady bool
	// Drain is how long handlers at work may go on after Run was cancelled.
	// Default: 30 s.
	Drain time.Duration

	// Tracer makes a span of each batch, linked to records that are traced. Nil: none.
	Tracer trace.Tracer
	// SpanPerRecord makes one of each record besides, which goes on with the trace it
	// was produced in: for topics of which each record matters by itself.
	SpanPerRecord bool

	// Registerer takes the metrics; several Groups may share one. Nil: none.
	Registerer prometheus.Registerer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxRecords = 1000
	defaultMaxBytes   = 4 << 20
	defaultDrain      = 30 * time.Second

	// leaveTimeout bounds saying goodbye to a group coordinator that is gone.
	leaveTimeout = 5 * time.Second
	// stuckAfter is how long something may fail before the Group is not ready.
	stuckAfter = 5 * time.Second
)

func (o *Options[E]) setDefaults() error {
	switch {
	case o.GroupID == "":
		return errors.New("consumers: GroupID is missing")
	case o.Topic == "":
		return errors.New("consumers: Topic is missing")
	case o.Cluster == nil || o.Decode == nil || o.Handler == nil || o.DeadLetters == nil:
		return errors.New("consumers: Cluster, Decode, Handler and DeadLetters are required")
	case o.MaxRecords < 0 || o.MaxBytes < 0 || o.MaxBuffered < 0 || o.InFlight < 0 || o.Linger < 0 || o.Drain < 0:
		return errors.New("consumers: limits must not be negative; leave them 0 for the default")
	}
	orDefault(&o.MaxRecords, defaultMaxRecords)
	orDefault(&o.MaxBytes, defaultMaxBytes)
	orDefault(&o.MaxBuffered, 3*o.MaxBytes)
	orDefault(&o.InFlight, 1)
	orDefault(&o.Drain, defaultDrain)
	orDefault(&o.settleEvery, defaultSettleEvery)
	orDefault(&o.recommitEvery, defaultRecommitEvery)
	orDefault(&o.Logger, slog.Default())
	o.Logger = o.Logger.With("group", o.GroupID, "topic", string(o.Topic))
	return nil
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Group is a member of a Kafka consumer group that hands one topic's records to a
// Handler. Make it with New; it runs once.
type Group[E any] struct {
	opts    Options[E]
	metrics groupMetrics
	made    time.Time
	started atomic.Bool
	member  atomic.Pointer[Member]

	// A session is the time with one member, on one incarnation of the topic. lineage is
	// what it reads; work is cancelled when its handlers must stop; stopping is closed when
	// no new batch may begin.
	lineage  schemas.Lineage
	work     context.Context
	stopping chan struct{}
	// share is the bytes one partition may hold.
	share atomic.Int64
	freed chan struct{} // capacity 1: some partition holds less
	dirty chan struct{} // capacity 1: some position moved

	mu    sync.Mutex // committing before mu before partition.mu
	owned map[int32]*partition[E]

	committing turn

	unsettled  atomic.Pointer[error] // why the positions are not known yet
	pollErrors everySoOften
}

// New checks the options and registers the metrics. It starts nothing and reaches
// for no broker.
func New[E any](opts Options[E]) (*Group[E], error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	metrics, err := newGroupMetrics(opts.Registerer, opts.GroupID)
	if err != nil {
		return nil, fmt.Errorf("consumers: register metrics: %w", err)
	}
	g := &Group[E]{
		opts:    opts,
		metrics: metrics,
		made:    time.Now(),
		freed:   make(chan struct{}, 1),
		dirty:   make(chan struct{}, 1),
		owned:   make(map[int32]*partition[E]),

		committing: newTurn(),
	}
	metrics.lagSeconds.add(opts.GroupID, g.behindSince)
	return g, nil
}

// lingersUntil is the moment until which a batch whose first record came at since waits
// for more: the next whole multiple of Linger since the Group was made.
func (g *Group[E]) lingersUntil(since time.Time) time.Time {
	every := g.opts.Linger
	if every == 0 {
		return since
	}
	return g.made.Add((since.Sub(g.made)/every + 1) * every)
}

// Ready is nil when the Group has joined and nothing has been failing for more than
// a few seconds; otherwise it says what is wrong.
func (g *Group[E]) Ready() error {
	member := g.member.Load()
	if member == nil {
		if err := g.unsettled.Load(); err != nil {
			return fmt.Errorf("group %s has not started: %w", g.opts.GroupID, *err)
		}
		return fmt.Errorf("group %s is not running", g.opts.GroupID)
	}
	if !(*member).Joined() {
		return fmt.Errorf("group %s has not joined; are the brokers up and does topic %s exist?", g.opts.GroupID, g.opts.Topic)
	}
	for _, p := range g.partitions() {
		if err := p.stuck(time.Now()); err != nil {
			return fmt.Errorf("group %s, %s partition %d: %w", g.opts.GroupID, g.opts.Topic, p.id, err)
		}
	}
	return nil
}

// behindSince is about when the oldest record not handled came to Kafka; zero where
// none exists.
func (g *Group[E]) behindSince() time.Time {
	var oldest time.Time
	for _, p := range g.partitions() {
		if at := p.behindSince(); !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	return oldest
}
