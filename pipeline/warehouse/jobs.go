package warehouse

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// JobRuns returns the runs of a job, the one that was due last first, at most limit.
func (w *Warehouse) JobRuns(ctx context.Context, tenantID, jobID string, limit int) ([]schemas.Export, error) {
	return decoded[schemas.Export](ctx, w, "the runs of a job",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND job_id = {job:String} ORDER BY scheduled_at DESC, export_id DESC LIMIT {limit:UInt32}",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("job", jobID), clickhouse.Named("limit", uint32(limit)))
}

// LastCompletedRun returns the run of a job that was due last of those that were
// completed, whether or not its artifacts are still there; false if there is none.
func (w *Warehouse) LastCompletedRun(ctx context.Context, tenantID, jobID string) (schemas.Export, bool, error) {
	found, err := decoded[schemas.Export](ctx, w, "the last completed run of a job",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND job_id = {job:String} AND JSONHas(body, 'completion') ORDER BY scheduled_at DESC, export_id DESC LIMIT 1",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("job", jobID))
	if err != nil || len(found) == 0 {
		return schemas.Export{}, false, err
	}
	return found[0], true, nil
}

// InsertDeliveries stores attempts to tell webhooks. Storing one again changes nothing.
func (w *Warehouse) InsertDeliveries(ctx context.Context, b schemas.Batch[*schemas.WebhookDelivery]) error {
	if len(b.Records) == 0 {
		return nil
	}
	return w.insertBlock(ctx, "webhook_deliveries", "tenant_id, job_id, export_id, webhook_id, attempt, time, outcome, body", func(block driver.Batch) error {
		for _, r := range b.Records {
			d := r.Event
			body, err := schemas.Encode(d)
			if err == nil {
				err = block.Append(d.TenantID, d.JobID, d.ExportID, d.WebhookID, uint32(d.Attempt), d.Time.Time, d.Outcome, string(body))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Deliveries returns the attempts to tell a job's webhook, the latest first, at most
// limit; only those about one export if exportID is not empty.
func (w *Warehouse) Deliveries(ctx context.Context, tenantID, jobID, exportID string, limit int) ([]schemas.WebhookDelivery, error) {
	return decoded[schemas.WebhookDelivery](ctx, w, "webhook deliveries",
		"SELECT body FROM webhook_deliveries FINAL WHERE tenant_id = {tenant:String} AND job_id = {job:String} AND ({export:String} = '' OR export_id = {export:String}) ORDER BY time DESC, attempt DESC LIMIT {limit:UInt32}",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("job", jobID), clickhouse.Named("export", exportID), clickhouse.Named("limit", uint32(limit)))
}
