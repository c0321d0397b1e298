package export

import (
	"context"
	"sync"
	"time"
)

// works are the workers that own partition 0 for a test.
var works = struct {
	sync.Mutex
	of map[*Worker]*work
}{of: map[*Worker]*work{}}

// work is what runs while callers of Work wait.
type work struct {
	callers int
	stop    context.CancelFunc
	owned   chan struct{}
	running sync.WaitGroup
}

// Work owns partition 0 and carries out what is open there, until nothing is.
func (w *Worker) Work(ctx context.Context) error {
	works.Lock()
	at := works.of[w]
	if at == nil {
		owning, stop := context.WithCancel(ctx)
		at = &work{stop: stop, owned: make(chan struct{})}
		works.of[w] = at
		at.running.Go(func() { w.own(owning, 0, func() { close(at.owned) }) })
		at.running.Go(func() { _ = w.Run(owning) })
	}
	at.callers++
	works.Unlock()
	defer func() {
		works.Lock()
		at.callers--
		last := at.callers == 0
		if last {
			delete(works.of, w)
		}
		works.Unlock()
		if last {
			at.stop()
			at.running.Wait()
		}
	}()
	select {
	case <-at.owned:
	case <-ctx.Done():
	}
	for pause := time.Millisecond; ctx.Err() == nil; {
		var next *open
		w.mu.Lock()
		for _, e := range w.queue.all {
			if next = e; e.place == inHand {
				break
			}
		}
		var done chan struct{}
		if next != nil && next.place == inHand {
			done = next.done
		}
		w.mu.Unlock()
		if next == nil {
			return nil
		}
		var look <-chan time.Time
		if done == nil { // it waits for a look, or its turn
			look = time.After(pause)
			pause = min(2*pause, lookLate)
		}
		select {
		case <-done:
		case <-look:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
