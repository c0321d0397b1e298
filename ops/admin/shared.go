package admin

import (
	"context"
	"sync"
	"time"
)

// shared asks a question once for all who ask it at about the same time. Its zero value is
// ready.
type shared[K comparable, V any] struct {
	mu      sync.Mutex
	answers map[K]*answer[V]
}

// answer is one that was asked for at a time; it is there when done is closed.
type answer[V any] struct {
	at    time.Time
	done  chan struct{}
	value V
	err   error
}

// askTimeout bounds a question, which no caller can cancel: others may wait for it.
const askTimeout = 30 * time.Second

// get returns the answer for key: the last one if it was asked for less than age ago, or else
// a new one. Errors are answers too. Nobody may change the value.
func (s *shared[K, V]) get(ctx context.Context, key K, age time.Duration, ask func(context.Context) (V, error)) (V, error) {
	s.mu.Lock()
	a := s.answers[key]
	if a == nil || time.Since(a.at) >= age {
		a = &answer[V]{at: time.Now(), done: make(chan struct{})}
		if s.answers == nil {
			s.answers = map[K]*answer[V]{}
		}
		s.answers[key] = a
		go func() {
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
			defer cancel()
			a.value, a.err = ask(asking)
			close(a.done)
			time.AfterFunc(age, func() { s.forget(key, a) })
		}()
	}
	s.mu.Unlock()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (s *shared[K, V]) forget(key K, a *answer[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers[key] == a {
		delete(s.answers, key)
	}
}
