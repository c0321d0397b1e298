package export

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"cdds/pipeline"
	"cdds/schemas"
)

// owner is the time for which a partition of the requests is this worker's.
type owner struct {
	partition int32
	// ctx is that of all exports in hand; working waits for them.
	ctx     context.Context
	working sync.WaitGroup
}

// Own carries out the open exports of a partition until ctx ends: those it finds, and those
// that Handle adds. It returns once nothing is in hand. See consumers.Owner.
func (w *Worker) Own(ctx context.Context, partition int32) {
	w.own(ctx, partition, func() {})
}

// own is Own that calls begun when what was open is taken in.
func (w *Worker) own(ctx context.Context, partition int32, begun func()) {
	ctx, stop := context.WithCancel(ctx)
	o := &owner{partition: partition, ctx: ctx}
	w.mu.Lock()
	w.owners[partition] = o
	w.mu.Unlock()
	for n := 1; ctx.Err() == nil; n++ {
		err := w.takeOver(ctx, o)
		if err == nil {
			begun()
			<-ctx.Done()
			break
		}
		if ctx.Err() == nil {
			w.Logger.WarnContext(ctx, "cannot list the open exports of a partition; retrying", "partition", partition, "error", err)
		}
		select {
		case <-time.After(w.backoff(n)):
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	delete(w.owners, partition)
	for _, e := range w.queue.of(o) {
		if e.again = nil; e.place != inHand {
			w.queue.remove(e)
		}
	}
	for origin := range w.undecided {
		if origin.Partition == partition {
			delete(w.undecided, origin)
		}
	}
	w.mu.Unlock()
	stop()
	o.working.Wait()
}

// takeOver takes in the open exports of a partition, and of those that the topic has no
// more: it was made again with fewer.
func (w *Worker) takeOver(ctx context.Context, o *owner) error {
	partitions, err := w.Requests.Partitions(ctx)
	if err != nil {
		return err
	}
	shards, err := w.Exporter.Shards(ctx)
	if err != nil {
		return err
	}
	found := 0
	for _, shard := range shards {
		if home(shard, partitions) != o.partition {
			continue
		}
		all, err := w.Exporter.Opened(ctx, shard)
		if err != nil {
			return err
		}
		for _, of := range all {
			w.open(o.partition, &open{Open: of, since: of.Since})
		}
		found += len(all)
	}
	if found > 0 {
		w.Logger.InfoContext(ctx, "took over open exports", "partition", o.partition, "exports", found)
	}
	return nil
}

// home is the partition whose owner carries out the exports of a shard.
func home(shard, partitions int32) int32 {
	if shard < partitions || partitions == 0 {
		return shard
	}
	return shard % partitions
}

// open takes in an open export of a partition, unless the partition is another worker's: that
// one finds it in the store.
func (w *Worker) open(partition int32, e *open) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := w.owners[partition]
	if o == nil || o.ctx.Err() != nil {
		return
	}
	e.owner = o
	e.waits = w.Now()
	if !w.queue.add(e) {
		return
	}
	w.metrics.begin(e.TenantID)
	if e.place == waiting {
		w.watches[e.topic].soon()
	}
	w.dispatch()
}

// soon has the watch look again.
func (t *watch) soon() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// dispatch takes in hand what goes next. w.mu is held.
func (w *Worker) dispatch() {
	for e := w.queue.next(); e != nil; e = w.queue.next() {
		ctx, stop := context.WithCancelCause(e.owner.ctx)
		e.stop, e.done = stop, make(chan struct{})
		e.owner.working.Go(func() {
			to := w.carry(w.trace(ctx, e), e)
			stop(nil)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.queue.putDown(e, to)
			if to == waiting {
				e.waits = w.Now()
				w.watches[e.topic].soon()
			}
			close(e.done)
			w.dispatch()
		})
	}
}

// trace goes on with the trace of the message that opened an export.
func (w *Worker) trace(ctx context.Context, e *open) context.Context {
	if e.span != nil {
		ctx = trace.ContextWithSpan(ctx, e.span)
	}
	return w.about(ctx, e.TenantID, e.ExportID)
}

// drop ends an export here, if it is here, and returns once it has.
func (w *Worker) drop(ctx context.Context, key exportKey) error {
	w.mu.Lock()
	e := w.queue.all[key]
	if e == nil {
		w.mu.Unlock()
		return nil
	}
	if e.again = nil; e.place != inHand {
		w.queue.remove(e)
		w.mu.Unlock()
		return nil
	}
	w.mu.Unlock()
	e.stop(pipeline.ErrGone)
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shardOf is the shard of an export that was accepted as a, for a message of a partition.
func shardOf(a pipeline.Acceptance, partition int32) int32 {
	if a.Origin == nil { // by an earlier version
		return partition
	}
	return a.Origin.Partition
}

// isHere reports whether exports of a shard are carried out by the owner of a partition.
func (w *Worker) isHere(ctx context.Context, shard, partition int32) (bool, int32, error) {
	if shard == partition {
		return true, shard, nil
	}
	partitions, err := w.Requests.Partitions(ctx)
	at := home(shard, partitions)
	return at == partition, at, err
}

// forward publishes a control about an export of another shard again, to the partition
// whose owner has it.
func (w *Worker) forward(ctx context.Context, r *schemas.ExportRequest, to int32) error {
	w.log(ctx).InfoContext(ctx, "control forwarded to the partition of its export", "action", r.Action, "partition", to)
	return w.Requests.Forward(ctx, to, r)
}
