package export

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// before is what the export selected that a request continues, nil if it continues none.
func (w *Worker) before(ctx context.Context, r *schemas.ExportRequest, since schemas.Snapshot) (*warehouse.Before, error) {
	if r.SinceExport == "" {
		return nil, nil
	}
	var earlier pipeline.Acceptance
	err := w.try(ctx, "accept", 0, func(ctx context.Context) error {
		var found bool
		var err error
		if earlier, found, err = w.Exporter.Accepted(ctx, r.TenantID, r.SinceExport); err == nil && (!found || earlier.Request == nil) {
			err = pipeline.Permanent(fmt.Errorf("nothing is known of export %s any more, which this one continues; request a whole one", r.SinceExport))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	b := &warehouse.Before{Filter: earlier.Request.Filter(), Snapshot: since}
	if from := earlier.From(); b.Filter.From.Before(from.Time) {
		b.Filter.From = from
	}
	return b, nil
}
