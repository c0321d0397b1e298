package erasure

import (
	"context"
	"fmt"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// held reports whether a hold keeps any of what the erasure would remove; the erasure then
// waits as held. Otherwise it is accepted, and goes on.
func (h *Handler) held(ctx context.Context, e *schemas.Erasure, found warehouse.Impact) (bool, error) {
	holds, err := h.Holds.Held(ctx, e.Request.TenantID)
	if err != nil {
		return false, err
	}
	hold, held := found.Held(holds)
	what := "of it"
	if !held && e.Request.DeleteArtifacts {
		for _, x := range e.Exports {
			if hold, held = holds.OfExport(x.ExportID); held {
				what = "the files of export " + x.ExportID
				break
			}
		}
	}
	if !held {
		e.State, e.HoldID, e.Waiting = schemas.ErasureAccepted, "", ""
		return false, nil
	}
	known := e.State == schemas.ErasureHeld && e.HoldID == hold.HoldID
	e.State, e.HoldID = schemas.ErasureHeld, hold.HoldID
	e.Waiting = fmt.Sprintf("the hold %s (%s) keeps some %s; it is carried out when that is released", hold.HoldID, hold.Name, what)
	if e.Exports == nil {
		e.Exports = []schemas.AffectedExport{}
	}
	if known { // though it may show what was waited for meanwhile
		return true, h.History.SaveErasure(ctx, *e)
	}
	if err := h.audit(ctx, *e, schemas.OutcomeDone, fmt.Sprintf("%s: %s", e.About(), e.Waiting)); err != nil {
		return true, err
	}
	h.Logger.InfoContext(ctx, "erasure is held", "tenant", e.Request.TenantID, "erasure", e.Request.ErasureID, "hold", hold.HoldID)
	return true, h.History.SaveErasure(ctx, *e)
}
