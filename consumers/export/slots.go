package export

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"cdds/schemas"
)

// slots admits a bounded number of parts at once, and of one tenant. When a
// slot is free, the tenant with the fewest slots goes first; among several, the one that got
// its last slot longest ago. Of its exports, the one with the fewest slots goes first, then the
// one that waited longest. So a small export waits for at most one part of a large one, and a tenant for
// one of another, however many tenants wait with however many exports.
type slots struct {
	mu        sync.Mutex
	free      int
	perTenant int
	held      map[exportKey]int
	tenants   map[string]int
	waiting   []*waiter
	// given counts slots; last is which one a tenant got last, as long as it wants more.
	given int64
	last  map[string]int64
}

type waiter struct {
	key   exportKey
	ready chan struct{}
}

// newSlots returns n slots, of which a tenant may hold perTenant; 0 means all.
func newSlots(n, perTenant int) *slots {
	if perTenant <= 0 {
		perTenant = n
	}
	return &slots{free: n, perTenant: perTenant, held: map[exportKey]int{}, tenants: map[string]int{}, last: map[string]int64{}}
}

// length is how many wait.
func (s *slots) length() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

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
	if s.tenants[key.tenantID]--; s.tenants[key.tenantID] == 0 {
		delete(s.tenants, key.tenantID)
		if !slices.ContainsFunc(s.waiting, func(w *waiter) bool { return w.key.tenantID == key.tenantID }) {
			delete(s.last, key.tenantID)
		}
	}
	s.admit()
}

// admit hands free slots to those who wait. s.mu is held.
func (s *slots) admit() {
	for s.free > 0 && len(s.waiting) > 0 {
		next := -1
		for i, w := range s.waiting {
			if s.tenants[w.key.tenantID] < s.perTenant && (next < 0 || s.before(w.key, s.waiting[next].key)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		chosen := s.waiting[next]
		s.waiting = append(s.waiting[:next], s.waiting[next+1:]...)
		s.free--
		s.held[chosen.key]++
		s.tenants[chosen.key.tenantID]++
		s.given++
		s.last[chosen.key.tenantID] = s.given
		close(chosen.ready)
	}
}

// before reports whether a goes before b, which has waited longer. s.mu is held.
func (s *slots) before(a, b exportKey) bool {
	return cmp.Or(
		cmp.Compare(s.tenants[a.tenantID], s.tenants[b.tenantID]),
		cmp.Compare(s.last[a.tenantID], s.last[b.tenantID]),
		cmp.Compare(s.held[a], s.held[b])) < 0
}

// longestFirst is the order in which to begin parts, as indexes. Parts with attachments
// come first: ClickHouse looks for their rows among all others, and at the end that would
// be waited for while nothing else is left to do.
func longestFirst(parts []schemas.PlannedPart) (order []int) {
	for i, p := range parts {
		if p.Kind == schemas.KindAttachments {
			order = append(order, i)
		}
	}
	for i, p := range parts {
		if p.Kind != schemas.KindAttachments {
			order = append(order, i)
		}
	}
	return order
}
