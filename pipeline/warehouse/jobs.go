package warehouse

import (
	"context"
	"fmt"

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

// LastCompletedRun returns, of a job's completed runs of an entity, the one whose snapshot
// reaches furthest, without its parts and whether or not its artifacts are still there;
// found is false if there is none. stale is the id of a run that ended after one that
// reaches further, unless a whole run (one that continues none) that reaches at least as
// far ended after it. Later snapshots of a topic have more positions: each partition's
// only grow.
func (w *Warehouse) LastCompletedRun(ctx context.Context, tenantID, jobID, entity string) (last schemas.Export, stale string, found bool, err error) {
	var id string
	row := w.conn.QueryRow(ctx, `
WITH maxIf((ended, export_id), reaches < most) AS late, maxIf(ended, since = 0 AND reaches = most) AS whole
SELECT argMax(export_id, (reaches, ended)), if(late.1 > whole, late.2, '')
FROM (
  SELECT export_id, ended, reaches, since, max(reaches) OVER (ORDER BY ended, reaches DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS most
  FROM (
    SELECT export_id, JSONExtractString(summary, 'ended_at') AS ended, JSONLength(summary, 'since') AS since,
      arraySum(JSONExtract(summary, 'snapshot', 'Array(Int64)')) AS reaches
    FROM exports FINAL
    WHERE tenant_id = {tenant:String} AND job_id = {job:String} AND entity = {entity:String} AND JSONHas(summary, 'completion')))`,
		clickhouse.Named("tenant", tenantID), clickhouse.Named("job", jobID), clickhouse.Named("entity", entity))
	if err := row.Scan(&id, &stale); err != nil {
		return last, "", false, fmt.Errorf("read the last completed run of a job: %w", err)
	}
	if id == "" {
		return last, "", false, nil
	}
	last, found, err = w.Export(ctx, tenantID, id)
	last.Parts = nil
	return last, stale, found, err
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
