package export

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/pipeline/warehouse"
)

// before is what the export selected that this one continues, nil if it continues none.
func (r *run) before(ctx context.Context) (b *warehouse.Before, err error) {
	request := r.accepted.Request
	if request.SinceExport == "" {
		return nil, nil
	}
	err = r.try(ctx, "plan", 0, func(ctx context.Context) error {
		earlier, found, err := r.Exporter.Accepted(ctx, request.TenantID, request.SinceExport)
		if err != nil {
			return err
		}
		if !found || earlier.Request == nil {
			return pipeline.Permanent(fmt.Errorf("nothing is known of export %s any more, which this one continues; request a whole one", request.SinceExport))
		}
		from, err := r.Exporter.PlannedFrom(ctx, request.TenantID, request.SinceExport)
		if err != nil {
			return err
		}
		if from.IsZero() {
			from = earlier.From()
		}
		b = &warehouse.Before{Filter: earlier.Request.Filter(), Snapshot: r.accepted.Since}
		if b.Filter.From.Before(from.Time) {
			b.Filter.From = from
		}
		return nil
	})
	return b, err
}
