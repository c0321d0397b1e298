package auth

import (
	"errors"
	"fmt"
	"math"
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
