package export

import (
	"context"
	"sync"
)

// slots admits a bounded number of parts at once. Of those waiting, the export that
// holds fewest goes first, then the one that waited longest: a small export waits
// for at most one part of a large one.
type slots struct {
	mu      sync.Mutex
	free    int
	held    map[exportKey]int
	waiting []*waiter
}

type waiter struct {
	key   exportKey
	ready chan struct{}
}

func newSlots(n int) *slots { return &slots{free: n, held: map[exportKey]int{}} }

// acquire waits for a slot, or for ctx.
func (s *slots) acquire(ctx context.Context, key exportKey) (release func(), err error) {
	s.mu.Lock()
	me := &waiter{key, make(chan struct{})}
	s.waiting = append(s.waiting, me)
	s.admit()
	s.mu.Unlock()
	select {
	case <-me.ready:
		return func() { s.release(key) }, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.waiting {
		if other == me {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return nil, ctx.Err()
		}
	}
	s.give(key) // admitted in the same moment
	return nil, ctx.Err()
}

func (s *slots) release(key exportKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give(key)
}

// give takes a slot back and passes it on. s.mu is held.
func (s *slots) give(key exportKey) {
	s.free++
	if s.held[key]--; s.held[key] == 0 {
		delete(s.held, key)
	}
	s.admit()
}

// admit hands free slots to those who wait. s.mu is held.
func (s *slots) admit() {
	for s.free > 0 && len(s.waiting) > 0 {
		next := 0
		for i, w := range s.waiting {
			if s.held[w.key] < s.held[s.waiting[next].key] {
				next = i
			}
		}
		chosen := s.waiting[next]
		s.waiting = append(s.waiting[:next], s.waiting[next+1:]...)
		s.free--
		s.held[chosen.key]++
		close(chosen.ready)
	}
}
