package consumers

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"cdds/pipeline/spans"
)

const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 15 * time.Second
	// logInterval is how often a failure that lasts is logged.
	logInterval = 10 * time.Second
)

// errStopping ends the retries of a batch when the Group stops.
var errStopping = errors.New("the group is stopping")

// backoff is the pause after the nth failure, n from 1: doubling, capped, and
// between half and all of it by chance, so that members do not return together.
func (g *Group[E]) backoff(n int) time.Duration {
	d := backoffMax
	if n < 8 {
		d = min(backoffMin<<(n-1), backoffMax)
	}
	if g.opts.Steady {
		return d
	}
	return d/2 + rand.N(d/2)
}

// backoff is the Group's. A Steady one differs a little from partition to partition: who
// wakes first of those that wake at one instant is chance, too.
func (p *partition[E]) backoff(n int) time.Duration {
	d := p.g.backoff(n)
	if p.g.opts.Steady {
		d += time.Duration(p.id) * time.Microsecond
	}
	return d
}

// everySoOften limits a log line to one per logInterval. The zero value is ready.
type everySoOften struct {
	mu   sync.Mutex
	last time.Time
}

func (e *everySoOften) now() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.last.IsZero() && time.Since(e.last) < logInterval {
		return false
	}
	e.last = time.Now()
	return true
}

// failure is an attempt that keeps failing.
type failure struct {
	since time.Time
	err   error
}

// retry calls do until it succeeds. It gives up only when ctx, which is the partition's,
// is cancelled or the Group is stopping, and then returns the reason.
func (p *partition[E]) retry(ctx context.Context, what string, s *span, do func() error) error {
	var logged everySoOften
	for n := 1; ; n++ {
		err := do()
		if err == nil {
			p.failed(s, nil)
			if n > 1 {
				p.log.InfoContext(ctx, what+" works again", "attempts", n)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.g.metrics.retries.Inc()
		spans.Retry(ctx, err)
		p.failed(s, err)
		if logged.now() {
			p.log.WarnContext(ctx, what+" failed; retrying", "attempts", n, "next_offset", s.at.Offset, "error", err)
		}
		select {
		case <-time.After(p.backoff(n)):
		case <-ctx.Done():
			return ctx.Err()
		case <-p.g.stopping:
			return errStopping
		}
	}
}
