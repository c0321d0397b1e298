package export

import (
	"context"

	"cdds/schemas"
)

// auditControl records who asked to cancel an export, or to do anything else with it
// but make it; the status that follows says what came of it.
func (w *Worker) auditControl(ctx context.Context, r *schemas.ExportRequest) error {
	return w.Publisher.Publish(ctx, schemas.AuditOfControl(r, w.Name, schemas.TimeOf(w.Now())))
}
