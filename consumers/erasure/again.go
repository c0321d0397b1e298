package erasure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cdds/pipeline"
	"cdds/schemas"
)

const (
	// watchEvery is the pause between looks for what came back.
	watchEvery = time.Minute
	// watchFor is how long an erasure is watched after it was done. An insert is given up
	// within minutes, but by a process that runs.
	watchFor = time.Hour
)

// Watch has erasures carried out that nobody is at, such as those whose hold was released, and
// looks for what came back: at once, a minute after each look, and when holds change, until ctx
// ends; it then returns nil. A look that fails is logged and made again.
func (h *Handler) Watch(ctx context.Context) error {
	left := unattended{}
	for {
		changed := h.Holds.Changed()
		if err := errors.Join(h.again(ctx), h.resume(ctx, left)); err != nil && ctx.Err() == nil {
			h.Logger.ErrorContext(ctx, "cannot tell whether erased rows came back, or erasures that wait can go on; looking again in a minute", "error", err)
		}
		select {
		case <-time.After(watchEvery):
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// again removes once more what erasures of late were about. An ingest that looks for
// erasures, stops there (SIGSTOP, a machine that sleeps) while another takes its place and
// the erasure is carried out, and then goes on, stores what it has in hand.
func (h *Handler) again(ctx context.Context) error {
	done, err := h.History.ErasuresSince(ctx, h.Now().Add(-watchFor))
	if err != nil {
		return err
	}
	back, err := h.Rows.CameBack(ctx, done)
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range back {
		if err := h.removeAgain(ctx, e); err != nil {
			failed = append(failed, of(pipeline.KeyOf(e.Request), err))
		}
	}
	return errors.Join(failed...)
}

// removeAgain removes what came back of an erasure, unless a hold keeps it.
func (h *Handler) removeAgain(ctx context.Context, e schemas.Erasure) error {
	if held, err := h.cameBackHeld(ctx, e); err != nil || held {
		return err
	}
	rows, err := h.Rows.EraseAgain(ctx, e)
	if err != nil || rows == 0 {
		return err
	}
	h.Logger.WarnContext(ctx, "erased rows had come back and were removed", "tenant", e.Request.TenantID, "erasure", e.Request.ErasureID, "rows", rows)
	e.State = schemas.ErasureRepeated
	return h.audit(ctx, e, schemas.OutcomeDone, fmt.Sprintf("%s: %s removed that came late", e.About(), schemas.Counted(rows, "version")))
}

// cameBackHeld reports whether a hold keeps what came back of an erasure.
func (h *Handler) cameBackHeld(ctx context.Context, summary schemas.Erasure) (bool, error) {
	holds, err := h.Holds.Held(ctx, summary.Request.TenantID)
	if err != nil || len(holds) == 0 {
		return false, err
	}
	e, _, err := h.History.Erasure(ctx, summary.Request.TenantID, summary.Request.ErasureID)
	if err != nil {
		return false, err
	}
	left, err := h.Rows.Impact(ctx, e)
	if err != nil {
		return false, err
	}
	_, held := left.Held(holds)
	return held, nil
}
