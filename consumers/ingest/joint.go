package ingest

import (
	"context"
	"time"

	"cdds/schemas"
)

// gather is how long an insert waits for batches of other partitions, which a Group cuts
// at the same moments.
const gather = 5 * time.Millisecond

// enough is the JSON bytes from which an insert waits for nobody: ClickHouse gains
// little from more in one.
const enough = 4 << 20

// joint is one insert of batches of several partitions. However few rows an insert has,
// ClickHouse has a part to write and to merge for it; with four partitions that is four
// times the work for the same rows.
type joint[E any] struct {
	batches        []schemas.Batch[E]
	records, bytes int
	large          chan struct{} // closed when it has enough, or is not to wait for more
	// wanted is how many wait for it; it is stopped when nobody does any more.
	wanted int
	stop   context.CancelFunc
	done   chan struct{} // closed when err stands
	err    error
}

// stored has the batch inserted, with others if they come now, and returns the error of
// that insert, or ctx's.
func (h *Handler[E]) stored(ctx context.Context, b schemas.Batch[E]) error {
	j := h.join(ctx, b)
	select {
	case <-j.done:
	case <-ctx.Done():
		if h.leave(j) {
			<-j.done
		}
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if j.err == nil {
		delete(h.failed, b.Partition)
	} else {
		h.failed[b.Partition] = true
	}
	return j.err
}

// join adds the batch to the insert that is open, or opens one.
func (h *Handler[E]) join(ctx context.Context, b schemas.Batch[E]) *joint[E] {
	size := h.size(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	j, alone := h.open, h.failed[b.Partition]
	if j == nil || alone || j.records+len(b.Records) > MaxRecords || j.bytes+size > MaxBytes {
		// It is the business of all who join, so the first one's leaving must not end it.
		work, stop := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // carryOut calls it
		j = &joint[E]{stop: stop, large: make(chan struct{}), done: make(chan struct{})}
		if !alone {
			h.open = j
		}
		go h.carryOut(work, j)
	}
	j.batches, j.records, j.bytes = append(j.batches, b), j.records+len(b.Records), j.bytes+size
	j.wanted++
	if alone || j.bytes >= enough {
		select {
		case <-j.large:
		default:
			close(j.large)
		}
	}
	return j
}

// leave gives up the insert; true if nobody is left who waits for it.
func (h *Handler[E]) leave(j *joint[E]) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	j.wanted--
	if j.wanted > 0 {
		return false
	}
	h.close(j)
	j.stop()
	return true
}

// close keeps others from joining; h.mu is held.
func (h *Handler[E]) close(j *joint[E]) {
	if h.open == j {
		h.open = nil
	}
}

// carryOut inserts what has joined once it is its turn. Small inserts go one after the
// other, and whoever comes meanwhile joins the next; large ones side by side.
func (h *Handler[E]) carryOut(ctx context.Context, j *joint[E]) {
	defer close(j.done)
	defer j.stop()
	select {
	case <-time.After(gather):
	case <-j.large:
	case <-ctx.Done():
	}
	select {
	case <-j.large: // needs no turn, also if one is free
	default:
		select {
		case h.turn <- struct{}{}:
			defer func() { <-h.turn }()
		case <-j.large:
		case <-ctx.Done():
		}
	}
	select {
	case h.inserting <- struct{}{}:
		defer func() { <-h.inserting }()
	case <-ctx.Done():
	}
	h.mu.Lock()
	h.close(j)
	h.mu.Unlock()
	if j.err = ctx.Err(); j.err == nil {
		j.err = h.store(ctx, j)
	}
}
