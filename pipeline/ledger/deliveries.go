package ledger

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// InsertDeliveries stores attempts to deliver to webhooks. Storing one again changes nothing.
func (l *Ledger) InsertDeliveries(ctx context.Context, b schemas.Batch[*schemas.WebhookDelivery]) error {
	if len(b.Records) == 0 {
		return nil
	}
	return l.db.Insert(ctx, "webhook_deliveries", "tenant_id, job_id, export_id, webhook_id, attempt, time, outcome, body", func(block driver.Batch) error {
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

// Deliveries returns the attempts to deliver to a job's webhook, the latest first, at most
// limit; only those of one event if webhookID is not empty.
func (l *Ledger) Deliveries(ctx context.Context, tenantID, jobID, webhookID string, limit int) ([]schemas.WebhookDelivery, error) {
	return tables.Decoded[schemas.WebhookDelivery](ctx, l.db, "read webhook deliveries",
		"SELECT body FROM webhook_deliveries FINAL WHERE tenant_id = {tenant:String} AND job_id = {job:String} AND ({webhook:String} = '' OR webhook_id = {webhook:String}) ORDER BY time DESC, attempt DESC LIMIT {limit:UInt32}",
		tables.Named("tenant", tenantID), tables.Named("job", jobID), tables.Named("webhook", webhookID), tables.Named("limit", uint32(limit)))
}

// DeliveryFilter says which attempts to deliver to webhooks to list; empty fields mean any.
type DeliveryFilter struct {
	TenantID, JobID, ExportID, WebhookID string
	Outcomes                             []string
}

var deliveryListing = listing{
	what: "webhook deliveries", from: "webhook_deliveries FINAL", columns: "body", sort: "time",
	id:    "concat(webhook_id, '/', leftPad(toString(attempt), 6, '0'))",
	sorts: map[string]sortColumn{"time": instant("time")},
}

// ListDeliveries reads a page of a tenant's attempts to deliver to webhooks.
func (l *Ledger) ListDeliveries(ctx context.Context, f DeliveryFilter, p Page) (Listed[schemas.WebhookDelivery], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", f.TenantID)
	if f.JobID != "" {
		c.where("job_id = {job:String}", "job", f.JobID)
	}
	if f.ExportID != "" {
		c.where("export_id = {export:String}", "export", f.ExportID)
	}
	if f.WebhookID != "" {
		c.where("webhook_id = {webhook:String}", "webhook", f.WebhookID)
	}
	c.among("outcome", "outcomes", f.Outcomes)
	return list(ctx, l, deliveryListing, p, c, func(rows driver.Rows, d *schemas.WebhookDelivery, place ...any) error {
		return scanDecoded(rows, d, place)
	})
}
