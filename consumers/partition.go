package consumers

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"cdds/pipeline/spans"
	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
)

// partition is an owned partition: a queue that Run's poll fills, and a goroutine
// that empties it.
type partition[E any] struct {
	g      *Group[E]
	member Member
	id     int32
	log    *slog.Logger
	// attributes of its spans; nil where nothing is traced.
	attributes []attribute.KeyValue

	in *intake[E] // of run's goroutine

	ctx     context.Context // for handlers: cancelled when the partition goes away
	cancel  context.CancelFunc
	done    chan struct{} // closed when no goroutine works on the partition
	arrived chan struct{} // capacity 1: the queue has changed

	mu     sync.Mutex
	queue  []fetched
	queued int64     // bytes in queue
	since  time.Time // when the queue began to fill
	held   int64     // bytes in queue and in batches at work
	paused bool
	closed bool // no longer owned
	order  order

	logStart  int64           // the first offset the log has, as far as is known
	begin     int64           // where reading began, or -1
	polled    int64           // the next offset a fetch should bring, or -1
	epoch     int32           // leader epoch of the last record, or -1
	handled   kgo.EpochOffset // everything before it is handled; -1: unknown
	moved     bool            // a batch was finished, so handled is worth a commit
	committed int64           // -1: nothing
	highWater int64
	lag       int64
	behind    time.Time // about when the first record not handled came to Kafka; zero: none

	failures map[*span]failure
	fetchErr error
}

func newPartition[E any](g *Group[E], member Member, id int32) *partition[E] {
	ctx, cancel := context.WithCancel(g.work) //nolint:gosec // stop calls it when the partition goes
	return &partition[E]{
		g: g, member: member, id: id,
		log:        g.opts.Logger.With("partition", id),
		attributes: g.attributes(id),
		ctx:        ctx,
		cancel:     cancel,
		done:       make(chan struct{}),
		arrived:    make(chan struct{}, 1),
		in:         &intake[E]{topic: g.opts.Topic, partition: id, lineage: g.lineage, decode: g.opts.Decode, expected: -1},
		begin:      -1,
		polled:     -1,
		epoch:      -1,
		handled:    kgo.EpochOffset{Epoch: -1, Offset: -1},
		committed:  -1,
		failures:   make(map[*span]failure),
	}
}

// beginAt says where reading begins, and whether the group has committed that.
func (p *partition[E]) beginAt(at kgo.EpochOffset, committed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin, p.polled, p.handled = at.Offset, at.Offset, at
	if committed {
		p.committed = at.Offset
	}
}

// run cuts batches and has them handled, until the partition goes away or the Group
// is stopping.
func (p *partition[E]) run() {
	defer close(p.done)
	var working sync.WaitGroup
	defer working.Wait()
	owning, stopOwning := context.WithCancel(p.ctx)
	defer stopOwning()
	if owner, ok := p.g.opts.Handler.(Owner); ok {
		working.Go(func() { owner.Own(owning, p.id) })
	}
	slots := make(chan struct{}, p.g.opts.InFlight)
	for {
		select {
		case slots <- struct{}{}:
		case <-p.ctx.Done():
			return
		case <-p.g.stopping:
			return
		}
		records, place := p.next()
		if records == nil {
			return
		}
		batch, letters, voids := p.take(records)
		working.Go(func() {
			defer func() { <-slots }()
			p.work(records, batch, letters, voids, place)
		})
	}
}

// next waits for a batch and gives it its place in the order; nil when there will
// be none.
func (p *partition[E]) next() ([]fetched, *span) {
	for {
		records, place, wait := p.cut(time.Now())
		if records != nil {
			return records, place
		}
		var lingered <-chan time.Time
		if wait > 0 {
			lingered = time.After(wait)
		}
		select {
		case <-p.arrived:
		case <-lingered:
		case <-p.ctx.Done():
			return nil, nil
		case <-p.g.stopping:
			return nil, nil
		}
	}
}

// cut takes a batch off the queue if it is full or has lingered. Otherwise it says
// how long to wait for more; 0 means until something arrives.
func (p *partition[E]) cut(now time.Time) ([]fetched, *span, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || p.ctx.Err() != nil {
		return nil, nil, 0
	}
	// Half a share, so that one half is fetched while the other is handled.
	limit := min(int64(p.g.opts.MaxBytes), p.g.share.Load()/2)
	full := p.queued >= limit || len(p.queue) >= p.g.opts.MaxRecords || p.held >= p.g.share.Load()
	if lingers := p.g.lingersUntil(p.since).Sub(now); !full && lingers > 0 {
		return nil, nil, lingers
	}
	n, bytes := 0, int64(0)
	for n < len(p.queue) && n < p.g.opts.MaxRecords {
		size := sizeOf(p.queue[n : n+1])
		if n > 0 && bytes+size > limit {
			break
		}
		n, bytes = n+1, bytes+size
	}
	records := slices.Clone(p.queue[:n])
	clear(p.queue[:n]) // the queue's memory must not keep them alive
	p.queue, p.queued = p.queue[n:], p.queued-bytes
	if len(p.queue) == 0 {
		p.queue = nil
	}
	last := records[n-1]
	return records, p.order.begin(kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.next}), 0
}

// work sees one decoded batch through: dead-letter, handle.
func (p *partition[E]) work(records []fetched, batch schemas.Batch[E], letters []schemas.DeadLetter, voids []schemas.Void, place *span) {
	ctx, end := p.traced(records, batch.Records)
	err := p.handle(ctx, batch, letters, voids, place)
	end(err)
	if err != nil {
		return
	}
	p.g.metrics.batches.Inc()
	p.g.metrics.records.Add(float64(len(batch.Records) + len(letters)))
	p.finish(records, place)
}

// handle does so until it is done; its error says why it never will be.
func (p *partition[E]) handle(ctx context.Context, batch schemas.Batch[E], letters []schemas.DeadLetter, voids []schemas.Void, place *span) error {
	if voider, ok := p.g.opts.DeadLetters.(Voider); ok && len(voids) > 0 {
		err := p.retry(ctx, "noting positions without records", place, func() error { return voider.Void(ctx, voids) })
		if err != nil {
			return err
		}
	}
	if len(letters) > 0 {
		err := p.retry(ctx, "dead-lettering", place, func() error { return p.g.opts.DeadLetters.Put(ctx, letters) })
		if err != nil {
			return err
		}
		for _, l := range letters {
			p.g.metrics.deadLetters.WithLabelValues(l.Code).Inc()
		}
	}
	if len(batch.Records) == 0 {
		return nil
	}
	return p.retry(ctx, "handling a batch", place, func() error {
		begin := time.Now()
		err := p.g.opts.Handler.Handle(ctx, batch)
		spans.Observe(ctx, p.g.metrics.handle, time.Since(begin).Seconds())
		return err
	})
}

// take decodes records, which come in order.
func (p *partition[E]) take(records []fetched) (schemas.Batch[E], []schemas.DeadLetter, []schemas.Void) {
	p.mu.Lock()
	logStart := p.logStart
	if p.in.expected < 0 {
		p.in.expected = p.begin
	}
	p.mu.Unlock()
	return p.in.take(records, logStart)
}

// finish gives back the batch's memory and moves the position as far as it goes.
func (p *partition[E]) finish(records []fetched, place *span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(sizeOf(records))
	if at, moved := p.order.finish(place); moved {
		p.handled, p.moved = at, true
		p.behind = records[len(records)-1].Timestamp // what comes next is hardly older
		p.setLag(p.highWater)
		signal(p.g.dirty)
	}
}

// uncommitted is the position, if it is not what Kafka knows.
func (p *partition[E]) uncommitted() (kgo.EpochOffset, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.handled, p.moved && p.handled.Offset != p.committed
}

func (p *partition[E]) committedTo(at kgo.EpochOffset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = at.Offset
}

// commitAgain makes the position worth a commit, whatever Kafka knew.
func (p *partition[E]) commitAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed, p.moved = -1, p.handled.Offset >= 0
}

// failed notes that the batch at place fails, or with nil that it no longer does.
func (p *partition[E]) failed(place *span, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f, known := p.failures[place]; {
	case err == nil:
		delete(p.failures, place)
	case known:
		p.failures[place] = failure{f.since, err}
	default:
		p.failures[place] = failure{time.Now(), err}
	}
}

// stuck says what has been failing for longer than stuckAfter.
func (p *partition[E]) stuck(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetchErr != nil {
		return fmt.Errorf("fetching: %w", p.fetchErr)
	}
	for _, f := range p.failures {
		if d := now.Sub(f.since); d > stuckAfter {
			return fmt.Errorf("failing for %s: %w", d.Round(time.Second), f.err)
		}
	}
	return nil
}

// close ends the partition's part in the lag and in what the client has paused.
func (p *partition[E]) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.paused {
		p.member.Resume(p.id)
	}
	p.g.metrics.lag.Sub(float64(p.lag))
	p.lag, p.behind = 0, time.Time{}
}

// behindSince is about when the first record not handled came to Kafka; zero where
// none exists.
func (p *partition[E]) behindSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.behind
}
