package erasure

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/schemas"
)

// resume has erasures carried out that nobody is at, and sees to it that history shows those that
// have ended: a hold was released, or ClickHouse was lost or set back, or a process saved late
// what had changed since. It publishes their requests again: the one worker that reads them
// carries each out once, however many look.
func (h *Handler) resume(ctx context.Context) error {
	idle, err := h.idle(ctx) // before it is looked at what there is to do
	if err != nil {
		return err
	}
	waiting, err := h.History.WaitingErasures(ctx)
	if err != nil {
		return err
	}
	shown := map[pipeline.ErasureKey]schemas.Erasure{}
	for _, e := range waiting {
		shown[pipeline.KeyOf(e.Request)] = e
	}
	// After that: what ends meanwhile is closed once history shows it.
	opened, err := h.Decisions.Opened(ctx)
	if err != nil {
		return err
	}
	open := map[pipeline.ErasureKey]bool{}
	for _, key := range opened {
		open[key] = true
		if e, is := shown[key]; is && e.State == schemas.ErasureHeld {
			holds, err := h.Holds.Held(ctx, key.TenantID)
			if err != nil {
				return err
			}
			if holds.Has(e.HoldID) {
				continue
			}
		} else if !idle {
			continue
		}
		if err := h.goOn(ctx, key, shown[key]); err != nil {
			return fmt.Errorf("erasure %s: %w", key, err)
		}
	}
	for _, e := range waiting {
		if key := pipeline.KeyOf(e.Request); !open[key] {
			if err := h.goOn(ctx, key, e); err != nil {
				return fmt.Errorf("erasure %s: %w", key, err)
			}
		}
	}
	return nil
}

// idle reports whether no request is being carried out, or waits to be read.
func (h *Handler) idle(ctx context.Context) (bool, error) {
	n, err := h.requested(ctx)
	return n == 0, err
}

// requested is how many requests are to be carried out yet.
func (h *Handler) requested(ctx context.Context) (int64, error) {
	end, err := h.Log.EndOffsets(ctx, schemas.TopicErasureRequests)
	if err != nil {
		return 0, err
	}
	done, err := h.Log.Handled(ctx, schemas.GroupErasure, schemas.TopicErasureRequests)
	return end.Behind(done), err
}

// goOn shows how an erasure ended, or has it carried out.
func (h *Handler) goOn(ctx context.Context, key pipeline.ErasureKey, shown schemas.Erasure) error {
	if ended, err := h.showEnded(ctx, key, shown); ended || err != nil {
		return err
	}
	e, accepted, err := h.Decisions.Accepted(ctx, key)
	if err != nil {
		return err
	}
	if !accepted { // the bucket is a new one
		if e, accepted, err = h.History.Erasure(ctx, key.TenantID, key.ErasureID); err != nil || !accepted || e.Ended() || e.Restored() {
			return err
		}
	}
	return h.Publisher.Publish(ctx, &e.Request)
}
