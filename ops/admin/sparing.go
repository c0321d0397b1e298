package admin

import (
	"context"
	"sync"
	"time"
)

// sparing asks an expensive question a small part of the time, however many ask it and how
// often. Its zero value is ready.
type sparing[K comparable, V any] struct {
	mu   sync.Mutex
	last map[K]*spared[V]
}

// spared is an answer; it is there when done is closed.
type spared[V any] struct {
	asked time.Time
	done  chan struct{}
	value V
	err   error
	// until is when a newer one is sought, old from when on that one is waited for a moment, and
	// end when this one no longer serves.
	until, old, end time.Time
	newer           *spared[V]
}

const (
	// serves is how many times as long as it took to find it an answer serves.
	serves = 20
	// moment is how long a newer answer is waited for while there is an old one.
	moment = 50 * time.Millisecond
)

// get returns the last answer for key for as long as it serves. For as long again it returns
// that one and seeks a newer one. After that it waits for the newer one: for a moment, if the last
// one was found less than least ago, and returns that one then. Nobody may change the value.
func (s *sparing[K, V]) get(ctx context.Context, key K, least time.Duration, ask func(context.Context) (V, error)) (V, error) {
	s.mu.Lock()
	a, now := s.last[key], time.Now()
	var newer *spared[V]
	switch {
	case a == nil || a.ended() && !now.Before(a.end):
		a = s.seek(ctx, key, least, ask)
		if s.last == nil {
			s.last = map[K]*spared[V]{}
		}
		s.last[key] = a
	case a.ended() && !now.Before(a.until):
		if a.newer == nil || a.newer.ended() && a.newer.err != nil {
			a.newer = s.seek(ctx, key, least, ask)
		}
		if !now.Before(a.old) {
			newer = a.newer
		}
	}
	s.mu.Unlock()
	if newer != nil {
		select {
		case <-newer.done:
			if newer.err == nil {
				a = newer
			}
		case <-time.After(moment):
		case <-ctx.Done():
		}
	}
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

// seek asks the question, and makes the answer the last one unless it is an error.
func (s *sparing[K, V]) seek(ctx context.Context, key K, least time.Duration, ask func(context.Context) (V, error)) *spared[V] {
	a := &spared[V]{asked: time.Now(), done: make(chan struct{})}
	go func() {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		a.value, a.err = ask(asking)
		s.mu.Lock()
		defer s.mu.Unlock()
		defer close(a.done)
		if a.err != nil {
			return
		}
		now, took := time.Now(), time.Since(a.asked)
		a.until, a.old = now.Add(serves*took), now.Add(2*serves*took)
		a.end = now.Add(max(2*serves*took, least))
		s.last[key] = a
		time.AfterFunc(a.end.Sub(now), func() { s.forget(key, a) })
	}()
	return a
}

func (s *sparing[K, V]) forget(key K, a *spared[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last[key] == a {
		delete(s.last, key)
	}
}

func (a *spared[V]) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}
