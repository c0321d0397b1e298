package auth

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Throttle bounds how often something may happen, for each of many keys: a token
// bucket each. It remembers a bounded number of keys. It is safe for concurrent use.
type Throttle struct {
	limit rate.Limit
	burst int
	keys  int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// NewThrottle allows burst at once and then one each every, for each key.
func NewThrottle(every time.Duration, burst int) *Throttle {
	return &Throttle{limit: rate.Every(every), burst: burst, keys: maxThrottled, buckets: map[string]*rate.Limiter{}}
}

// maxThrottled bounds the keys a Throttle remembers; a bucket is some 100 bytes.
const maxThrottled = 16 << 10

// ThrottledError says that something happened too often. It is ErrThrottled.
type ThrottledError struct {
	// After is how long to wait.
	After time.Duration
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many requests; try again in %.0f s", math.Ceil(e.After.Seconds()))
}

// Is makes it an ErrThrottled.
func (e *ThrottledError) Is(target error) bool { return errors.Is(target, ErrThrottled) }

// Take takes one of key's, or is a *ThrottledError. giveBack undoes it, for what
// turned out not to count.
func (t *Throttle) Take(key string, now time.Time) (giveBack func(), err error) {
	t.mu.Lock()
	bucket := t.buckets[key]
	if bucket == nil {
		t.forget(now)
		bucket = rate.NewLimiter(t.limit, t.burst)
		t.buckets[key] = bucket
	}
	t.mu.Unlock()
	r := bucket.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return nil, &ThrottledError{wait}
	}
	return func() { r.CancelAt(now) }, nil
}

// Left is how many of key's may be taken at once, and when all of the burst may be again.
func (t *Throttle) Left(key string, now time.Time) (n int, whole time.Duration) {
	t.mu.Lock()
	bucket := t.buckets[key]
	t.mu.Unlock()
	if bucket == nil {
		return t.burst, 0
	}
	tokens := max(bucket.TokensAt(now), 0)
	return int(tokens), time.Duration((float64(t.burst) - tokens) / float64(t.limit) * float64(time.Second))
}

// forget makes room: full buckets say nothing. If all of them count, some go all the
// same, which favours one stranger over running out of memory.
func (t *Throttle) forget(now time.Time) {
	if len(t.buckets) < t.keys {
		return
	}
	for key, b := range t.buckets {
		if b.TokensAt(now) >= float64(t.burst) {
			delete(t.buckets, key)
		}
	}
	for key := range t.buckets {
		if len(t.buckets) < t.keys-t.keys/8 {
			return
		}
		delete(t.buckets, key)
	}
}

// throttle counts an attempt for a name until refund undoes it, or is a *ThrottledError.
// If too many others attempt the same name, and this attempt is only let through for its
// site, crowded is that error.
func (s *Service) throttle(name string, r *http.Request, now time.Time) (refund func(), crowded, err error) {
	network := s.NetworkOf(r)
	own, err := take(now, bound{s.byNetwork, network}, bound{s.guesses, network + " " + name})
	if err != nil {
		return nil, nil, err
	}
	shared, crowded := s.byUser.Take(name, now)
	if crowded != nil {
		if shared, err = s.bySite.Take(siteOf(s.AddressOf(r))+" "+name, now); err != nil {
			return nil, nil, crowded
		}
	}
	return func() { own(); shared() }, crowded, nil
}

// bound is one key's part of a Throttle.
type bound struct {
	*Throttle
	key string
}

// take takes one of each, until one is used up.
func take(now time.Time, bounds ...bound) (refund func(), err error) {
	var refunds []func()
	for _, b := range bounds {
		refund, err := b.Take(b.key, now)
		if err != nil {
			return nil, err
		}
		refunds = append(refunds, refund)
	}
	return func() {
		for _, refund := range refunds {
			refund()
		}
	}, nil
}
