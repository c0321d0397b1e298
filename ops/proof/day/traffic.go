package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/producers"
	"cdds/schemas"
)

const tenant = "acme"

// traffic publishes interactions, one after the other, until it is stopped. One that Kafka
// does not acknowledge is published again: it must not be lost, and may not be there twice.
type traffic struct {
	options func() []kgo.Opt

	mu    sync.Mutex
	acked int
	last  error
	stop  func()
}

func (t *traffic) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.stop = func() { cancel(); running.Wait() }
	running.Go(func() { t.run(ctx) })
}

// pause is between two interactions.
const pause = 50 * time.Millisecond

func (t *traffic) run(ctx context.Context) {
	var p *producers.Publisher
	defer func() {
		if p != nil {
			p.Close()
		}
	}()
	for n := 0; ctx.Err() == nil; {
		var err error
		if p == nil {
			p, err = producers.New(append(t.options(), kgo.RecordDeliveryTimeout(3*time.Second), kgo.RetryTimeout(2*time.Second)), "day", nil)
		}
		if err == nil {
			err = p.Publish(ctx, interaction(n))
		}
		t.mu.Lock()
		if t.last = err; err == nil {
			n++
			t.acked = n
		}
		t.mu.Unlock()
		if err != nil && p != nil { // it may hold a password of before
			p.Close()
			p = nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// published is how many interactions Kafka has acknowledged.
func (t *traffic) published() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked
}

func interaction(n int) *schemas.Interaction {
	return &schemas.Interaction{
		InteractionID: fmt.Sprintf("i-%06d", n), TenantID: tenant, MediaType: schemas.MediaTypes()[n%4], Queue: "billing",
		StartedAt: schemas.TimeOf(time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)), Text: fmt.Sprintf("line %d of the day", n),
	}
}
