package export

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/schemas"
)

// superseded ends a run whose place in its chain another one took: what it holds differs from
// the wrong run. In its stead another is requested, once; what that one would hold the next
// run holds too.
func (r *run) superseded(ctx context.Context, taken *pipeline.SupersededError) error {
	request := r.accepted.Request
	reason := taken.Error()
	if request.Supersedes == "" {
		again := *request
		again.ExportID, again.Supersedes = request.ExportID+successor, request.ExportID
		if err := r.Publisher.Publish(ctx, &again); err != nil {
			return fmt.Errorf("request the run again: %w", err)
		}
		reason += "; requested again as " + again.ExportID
	} else {
		reason += "; the next run of the job holds what this one would"
	}
	state, err := r.Exporter.EndBecause(ctx, r.open.TenantID, r.open.ExportID, schemas.Cancelled, reason)
	if err != nil {
		return err
	}
	if state == schemas.Cancelled {
		if err := r.Exporter.MarkCancelled(ctx, r.open.TenantID, r.open.ExportID); err != nil {
			return err
		}
	}
	return r.leave(ctx, r.open.Open, request.JobID)
}

// successor is appended to the id of a run that is requested again.
const successor = ".2"
