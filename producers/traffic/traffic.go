// Package traffic publishes a stream of events at a steady rate or as fast as the
// brokers take them: sample data for demonstrations, load for measurements.
package traffic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"cdds/schemas"
)

// flushTimeout bounds how long Run waits for the last outcomes. It is longer than
// a publisher takes to give a record up.
const flushTimeout = 2 * time.Minute

// Publisher takes events; *producers.Publisher is one.
type Publisher interface {
	// PublishAsync hands e over, waiting while the publisher is full, and calls
	// done exactly once with the outcome, possibly before it returns.
	PublishAsync(ctx context.Context, e schemas.Event, done func(error))
	// Flush returns once every event handed over has its outcome.
	Flush(ctx context.Context) error
}

// Options say what to publish and how fast.
type Options struct {
	Publisher Publisher
	// Events are published once, in order; [Of] makes them from samples.
	Events iter.Seq[schemas.Event]
	// Rate is in events per second; 0 means as fast as possible.
	Rate float64
	// Progress, if not nil, is called from Run's goroutine: about every Interval
	// while events flow, and once at the end.
	Progress func(Progress)
	// Interval defaults to one second.
	Interval time.Duration
}

// Progress is how far a run came.
type Progress struct {
	// Sent counts events handed to the publisher, Acknowledged and Failed those
	// whose outcome is known.
	Sent, Acknowledged, Failed int64
	Elapsed                    time.Duration
}

// PerSecond is the mean rate of acknowledged events.
func (p Progress) PerSecond() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Acknowledged) / p.Elapsed.Seconds()
}

// Of turns a sequence of one kind of event into one of any.
func Of[E schemas.Event](events iter.Seq[E]) iter.Seq[schemas.Event] {
	return func(yield func(schemas.Event) bool) {
		for e := range events {
			if !yield(e) {
				return
			}
		}
	}
}

// Generator publishes one stream of events.
type Generator struct {
	options Options
	limiter *rate.Limiter

	began time.Time
	sent  int64
	// Outcomes arrive on goroutines of the publisher.
	acknowledged, failed atomic.Int64
	firstError           error
	fail                 sync.Once
}

// New returns a Generator, or an error that says which option is wrong.
func New(o Options) (*Generator, error) {
	switch {
	case o.Publisher == nil:
		return nil, errors.New("traffic: there is no publisher")
	case o.Events == nil:
		return nil, errors.New("traffic: there are no events")
	case !(o.Rate >= 0): // NaN too
		return nil, fmt.Errorf("traffic: the rate is %v per second; give a positive number, or 0 for as fast as possible", o.Rate)
	}
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	g := &Generator{options: o}
	if o.Rate > 0 {
		// A burst of a twentieth of a second lets high rates be kept although
		// timers are coarse.
		g.limiter = rate.NewLimiter(rate.Limit(o.Rate), 1+int(o.Rate/20))
	}
	return g, nil
}

// Run publishes every event and returns when all are acknowledged. At the first
// failure, or when ctx ends, it stops and returns why. In each case every event
// handed over has had its outcome. It may be called once.
func (g *Generator) Run(ctx context.Context) error {
	g.began = time.Now()
	err := g.publish(ctx)

	// Even if ctx has ended: only with all outcomes may the caller count. Those of
	// a cancelled context come at once.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	flushed := g.options.Publisher.Flush(flush)
	p := g.progress()
	if g.options.Progress != nil {
		g.options.Progress(p)
	}
	switch {
	case ctx.Err() != nil && (err != nil || p.Failed > 0):
		return context.Cause(ctx)
	case p.Failed > 0:
		return fmt.Errorf("traffic: %d of %s failed; the first: %w", p.Failed, schemas.Counted(p.Sent, "event"), g.firstError)
	case err != nil:
		return err
	}
	return flushed
}

func (g *Generator) publish(ctx context.Context) error {
	// A failure stops the loop, but not what is on its way already.
	going, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := func(err error) {
		if err == nil {
			g.acknowledged.Add(1)
			return
		}
		g.fail.Do(func() {
			g.firstError = err
			stop(err)
		})
		g.failed.Add(1)
	}
	tick := time.NewTicker(g.options.Interval)
	defer tick.Stop()
	for e := range g.options.Events {
		if err := g.wait(going); err != nil {
			return err
		}
		select {
		case <-tick.C:
			if g.options.Progress != nil {
				g.options.Progress(g.progress())
			}
		default:
		}
		g.sent++
		g.options.Publisher.PublishAsync(ctx, e, done)
	}
	return nil
}

// wait blocks until the next event may go, or returns why there is no next one.
func (g *Generator) wait(ctx context.Context) error {
	if g.limiter != nil && ctx.Err() == nil {
		if err := g.limiter.Wait(ctx); err != nil && ctx.Err() == nil {
			return err // longer than ctx's deadline allows
		}
	}
	return context.Cause(ctx)
}

func (g *Generator) progress() Progress {
	return Progress{
		Sent: g.sent, Acknowledged: g.acknowledged.Load(), Failed: g.failed.Load(),
		Elapsed: time.Since(g.began),
	}
}
