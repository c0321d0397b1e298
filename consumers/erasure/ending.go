package erasure

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/schemas"
)

// end records how an erasure ended.
func (h *Handler) end(ctx context.Context, e schemas.Erasure, state string) error {
	e.State, e.Waiting, e.HoldID, e.DoneAt = state, "", "", schemas.TimeOf(h.Now())
	if e.Exports == nil {
		e.Exports = []schemas.AffectedExport{}
	}
	ended, err := h.Decisions.End(ctx, e)
	if err != nil {
		return err
	}
	return h.tell(ctx, ended)
}

// tell writes how an erasure ended to the audit trail and to history. The end is decided by
// then, so it is safe to repeat.
func (h *Handler) tell(ctx context.Context, e schemas.Erasure) error {
	outcome, detail := outcomeOf(e)
	if err := h.audit(ctx, e, outcome, detail); err != nil {
		return err
	}
	h.Logger.InfoContext(ctx, "erasure ended", "tenant", e.Request.TenantID, "erasure", e.Request.ErasureID, "state", e.State, "rows", e.Rows, "exports", len(e.Exports))
	if err := h.History.SaveErasure(ctx, e); err != nil {
		return err
	}
	return h.Decisions.Close(ctx, pipeline.KeyOf(e.Request))
}

// outcomeOf is what the audit trail says of an erasure that ended.
func outcomeOf(e schemas.Erasure) (outcome, detail string) {
	switch e.State {
	case schemas.ErasureRefused:
		return schemas.OutcomeRefused, e.About() + ": " + e.Reason
	case schemas.ErasureNothingFound:
		return schemas.OutcomeFailed, e.Reason
	}
	detail = fmt.Sprintf("%s: removed %s and %s of attachments; artifacts that hold some: %s",
		e.About(), schemas.Counted(e.Rows, "version"), schemas.Counted(e.Objects, "object"), schemas.Counted(len(e.Exports), "export"))
	if e.Reason != "" {
		detail += "; " + e.Reason
	}
	return schemas.OutcomeDone, detail
}

// showEnded reports whether an erasure has ended, and sees to it that history shows that.
func (h *Handler) showEnded(ctx context.Context, key pipeline.ErasureKey, shown schemas.Erasure) (bool, error) {
	e, ended, err := h.Decisions.Ended(ctx, key)
	if err != nil || !ended {
		return false, err
	}
	if shown.State == e.State && shown.DoneAt.Equal(e.DoneAt.Time) {
		return true, h.Decisions.Close(ctx, key)
	}
	return true, h.tell(ctx, e)
}
