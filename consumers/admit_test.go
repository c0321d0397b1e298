package consumers

import (
	"context"
	"slices"
	"sync"
	"testing"

	"cdds/schemas"
)

// admitting is a handler that knows the order of its batches.
type admitting struct {
	*table
	mu       sync.Mutex
	admitted []int64
}

func (a *admitting) Admit(_ context.Context, b schemas.Batch[*schemas.Interaction]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.admitted = append(a.admitted, b.First)
}

func TestBatchesInFlightAreAdmittedInOrderBeforeAnyIsHandled(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	a := &admitting{table: s}
	s.onHandle = func(_ context.Context, b schemas.Batch[*schemas.Interaction]) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !slices.Contains(a.admitted, b.First) {
			t.Errorf("the batch at %d is handled and was not admitted", b.First)
		}
		return nil
	}
	p.send(t, 0, append(events("e", 30), "{")...)
	join(t, c, s, one, func(o *Options[*schemas.Interaction]) { o.InFlight, o.Handler = 8, a })
	awaitCommitted(t, c, 0, 31)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.admitted) != 30 || !slices.IsSorted(a.admitted) {
		t.Errorf("admitted %v, want all 30 events in order", a.admitted)
	}
}
