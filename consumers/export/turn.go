package export

import (
	"context"
	"sync"

	"cdds/schemas"
)

// turns keeps messages about one export in the order of the log although batches are
// handled at once: a message waits until it stands what becomes of the one before,
// not until that is carried out, or nothing could cancel an export that runs.
type turns struct {
	mu   sync.Mutex
	at   map[position]*turn
	last map[exportKey]*turn
}

type position struct {
	partition int32
	offset    int64
}

type turn struct {
	ctx     context.Context
	key     exportKey
	before  <-chan struct{} // nil: nobody
	decided chan struct{}
	once    sync.Once
}

func newTurns() turns {
	return turns{at: map[position]*turn{}, last: map[exportKey]*turn{}}
}

// decide lets the next message about the export go on.
func (t *turn) decide() { t.once.Do(func() { close(t.decided) }) }

// Admit notes the order of the messages; see consumers.Admitter.
func (w *Worker) Admit(ctx context.Context, b schemas.Batch[*schemas.ExportRequest]) {
	t := &w.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	for at, old := range t.at { // of partitions that were taken away
		if old.ctx.Err() != nil {
			t.remove(at, old)
		}
	}
	for _, r := range b.Records {
		me := &turn{ctx: ctx, key: exportKey{r.Event.TenantID, r.Event.ExportID}, decided: make(chan struct{})}
		if before, ok := t.last[me.key]; ok {
			me.before = before.decided
		}
		t.at[position{r.Partition, r.Offset}], t.last[me.key] = me, me
	}
}

// await waits for the turn of a record. One that was not admitted has no order.
func (w *Worker) await(ctx context.Context, r schemas.Record[*schemas.ExportRequest]) (*turn, error) {
	w.turns.mu.Lock()
	me, ok := w.turns.at[position{r.Partition, r.Offset}]
	w.turns.mu.Unlock()
	if !ok {
		me = &turn{ctx: ctx, decided: make(chan struct{})}
	}
	if me.before == nil {
		return me, nil
	}
	select {
	case <-me.before:
		return me, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// done ends the turn of a record that was handled.
func (w *Worker) done(r schemas.Record[*schemas.ExportRequest], me *turn) {
	me.decide()
	w.turns.mu.Lock()
	defer w.turns.mu.Unlock()
	if at := (position{r.Partition, r.Offset}); w.turns.at[at] == me {
		w.turns.remove(at, me)
	}
}

// remove forgets a turn. t.mu is held.
func (t *turns) remove(at position, old *turn) {
	delete(t.at, at)
	if t.last[old.key] == old {
		delete(t.last, old.key)
	}
}
