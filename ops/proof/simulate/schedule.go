package simulate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A history runs in a bubble of testing/synctest, where time stands still until everybody
// waits for it. Processes run the product's own code with its goroutines. Whatever they ask
// of Kafka, ClickHouse or the bucket is a call that waits at the gate; the scheduler lets
// one through, waits until everybody waits again, and chooses the next. So a seed decides
// every interleaving, and a process can stop, die or be overtaken between any two calls.

// services that processes call.
const (
	atKafka      = "kafka"
	atClickHouse = "clickhouse"
	atBucket     = "bucket"
	// atHome is the process itself; nothing fails there.
	atHome = "home"
)

// call is what a process asks of a service, or what a cluster does by itself.
type call struct {
	p       *process // nil: the cluster's
	service string
	name    string
	// ready says whether it can be answered; nil: always.
	ready  func() bool
	effect func() error
	// half is what an effect leaves that breaks off; nil: nothing.
	half   func()
	answer chan error
	// abandoned calls have nobody who waits for the answer. If they change something they
	// may do so yet: a request that was sent is not taken back.
	changes, abandoned bool
	// late is until when they may, and over what they cannot: what a connection carries is
	// not overtaken by the next of its kind.
	late time.Time
	kind string
	// since is the scheduler's step at which it was first seen, seq when it came, from tells
	// which goroutine it came from.
	since, seq int
	from       caller
	// place tells which work it belongs to, see places.
	place trace.TraceID
}

// latest is how late a request that nobody waits for can have its effect.
const latest = time.Minute

// gate is where calls wait.
type gate struct {
	mu    sync.Mutex
	calls []*call
	seq   int
}

var (
	errDead     = errors.New("the process is dead")
	errNoAnswer = errors.New("simulated: no answer")
)

// ask asks a service for something and waits for the answer. effect runs on the
// scheduler's goroutine, so it needs no locks.
func (p *process) ask(ctx context.Context, service, name string, effect func() error) error {
	return p.wait(ctx, &call{service: service, name: name, effect: effect})
}

// change asks a service to change something.
func (p *process) change(ctx context.Context, service, name string, effect func() error) error {
	return p.wait(ctx, &call{service: service, name: name, effect: effect, changes: true})
}

func (p *process) wait(ctx context.Context, c *call) error {
	c.p, c.answer, c.place = p, make(chan error, 1), trace.SpanContextFromContext(ctx).TraceID()
	c.from.depth = runtime.Callers(2, c.from.at[:])
	g := &p.w.gate
	g.mu.Lock()
	if p.dead {
		g.mu.Unlock()
		return errDead
	}
	g.seq++
	c.seq = g.seq
	if c.kind != "" {
		g.calls = slices.DeleteFunc(g.calls, func(o *call) bool { return o.abandoned && o.p == p && o.kind == c.kind })
	}
	g.calls = append(g.calls, c)
	g.mu.Unlock()
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		g.abandon(c)
		return ctx.Err()
	}
}

// caller is where a goroutine was when it made a call. Which of several goroutines of a
// process comes first to the gate is the machine's chance, not the seed's.
type caller struct {
	at    [40]uintptr
	depth int
	sum   uint64 // of the names of its functions; 0: not asked for yet
}

// number is one for the functions that the goroutine was in.
func (c *caller) number() uint64 {
	if c.sum != 0 {
		return c.sum
	}
	h := fnv.New64a()
	for _, pc := range c.at[:c.depth] {
		name, known := functions.Load(pc)
		if !known {
			frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
			name, _ = functions.LoadOrStore(pc, []byte(frame.Function))
		}
		_, _ = h.Write(name.([]byte)) // a hash never fails
	}
	c.sum = h.Sum64()
	return c.sum
}

// functions are the names of functions by program counter.
var functions sync.Map

// forget ends the calls of a process that died: those that were sent may have their effect
// yet.
func (g *gate) forget(p *process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.dead = true
	for _, c := range slices.Clone(g.calls) {
		if c.p == p && !c.abandoned {
			g.abandon(c)
			c.answer <- errDead
		}
	}
}

// abandon leaves a call without anybody who waits for it; g.mu is held.
func (g *gate) abandon(c *call) {
	c.abandoned, c.late = true, time.Now().Add(latest)
	if !c.changes {
		g.calls = slices.DeleteFunc(g.calls, func(o *call) bool { return o == c })
	}
}

// waiting are the calls that can be let through, in an order that does not depend on which
// goroutine came first.
func (w *world) waiting() (live, abandoned []*call) {
	synctest.Wait()
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	w.gate.calls = slices.DeleteFunc(w.gate.calls, func(c *call) bool { return c.abandoned && c.late.Before(time.Now()) })
	for _, c := range w.gate.calls {
		if c.since == 0 {
			c.since = w.steps + 1
		}
		switch {
		case c.abandoned:
			abandoned = append(abandoned, c)
		case !c.p.paused && (c.ready == nil || c.ready()):
			live = append(live, c)
		}
	}
	inOrder := func(a, b *call) int {
		if by := cmp.Or(cmp.Compare(a.p.number, b.p.number), cmp.Compare(a.name, b.name)); by != 0 {
			return by
		}
		return cmp.Or(cmp.Compare(a.from.number(), b.from.number()), bytes.Compare(a.place[:], b.place[:]), cmp.Compare(a.seq, b.seq))
	}
	slices.SortFunc(live, inOrder)
	slices.SortFunc(abandoned, inOrder)
	return live, abandoned
}

// let lets a call through.
func (w *world) let(c *call) {
	w.gate.mu.Lock()
	w.gate.calls = slices.DeleteFunc(w.gate.calls, func(o *call) bool { return o == c })
	w.gate.mu.Unlock()
	w.steps++
	err := w.faults.strike(c)
	if w.trace != nil {
		w.trace(c, err)
	}
	if !c.abandoned {
		c.answer <- err
	}
}

// drop ends an abandoned call without its effect.
func (w *world) drop(c *call) {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	w.gate.calls = slices.DeleteFunc(w.gate.calls, func(o *call) bool { return o == c })
}

// run lets n calls through, chosen by chance: mostly of the process that had the last one,
// as machines do.
func (w *world) run(n int, chance *rand.Rand) {
	var last *process
	for range n {
		live, abandoned := w.waiting()
		if len(abandoned) > 0 && chance.IntN(4) == 0 {
			late := abandoned[chance.IntN(len(abandoned))]
			if chance.IntN(2) == 0 {
				w.drop(late)
			} else {
				w.let(late)
			}
			continue
		}
		events := w.events()
		if n := len(live) + len(events); n == 0 {
			if !w.next() {
				return
			}
			continue
		} else if k := chance.IntN(n + 1); k > 0 && k <= len(events) {
			events[k-1]()
			w.steps++
			continue
		}
		if len(live) == 0 {
			continue
		}
		c := live[chance.IntN(len(live))]
		if last != nil && chance.IntN(8) > 0 {
			if same := slices.DeleteFunc(slices.Clone(live), func(c *call) bool { return c.p != last }); len(same) > 0 {
				c = same[chance.IntN(len(same))]
			}
		}
		last = c.p
		w.let(c)
	}
}

// rest lets everything through that can be, whoever waited longest first, until nobody
// waits for anything but time. It is false if that takes more than limit calls.
func (w *world) rest(limit int) bool {
	for range limit {
		live, abandoned := w.waiting()
		switch events := w.events(); {
		case len(abandoned) > 0:
			w.let(abandoned[0])
		case len(events) > 0:
			events[0]()
			w.steps++
		case len(live) > 0:
			w.let(slices.MinFunc(live, func(a, b *call) int { return cmp.Compare(a.since, b.since) }))
		default:
			return true
		}
	}
	return false
}

// next lets time pass until somebody has a call to make; false if nobody does for long.
func (w *world) next() bool {
	for pause := time.Millisecond; pause < time.Minute; pause *= 2 {
		w.sleep(pause)
		if live, _ := w.waiting(); len(live) > 0 {
			return true
		}
		if len(w.events()) > 0 {
			return true
		}
	}
	return false
}

// sleep lets time pass.
func (w *world) sleep(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
	w.abortOld()
	synctest.Wait()
}
