package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// InsertAudit stores audit records. Storing one again changes nothing.
func (w *Warehouse) InsertAudit(ctx context.Context, b schemas.Batch[*schemas.AuditRecord]) error {
	if len(b.Records) == 0 {
		return nil
	}
	return w.insertBlock(ctx, "audit", "tenant_id, audit_id, time, actor, source, action, subject, outcome, detail", func(block driver.Batch) error {
		for _, r := range b.Records {
			a := r.Event
			if err := block.Append(a.TenantID, a.AuditID, a.Time.Time, a.Actor, a.From, a.Action, a.Subject, a.Outcome, a.Detail); err != nil {
				return err
			}
		}
		return nil
	})
}

// Audit returns what was done to a tenant's exports and data, the latest first, at
// most limit. An empty subject means all.
func (w *Warehouse) Audit(ctx context.Context, tenantID, subject string, limit int) ([]schemas.AuditRecord, error) {
	rows, err := w.conn.Query(ctx, `
SELECT audit_id, time, actor, source, action, subject, outcome, detail FROM audit FINAL
WHERE tenant_id = {tenant:String} AND ({subject:String} = '' OR subject = {subject:String})
ORDER BY time DESC, audit_id LIMIT {limit:UInt32}`,
		clickhouse.Named("tenant", tenantID), clickhouse.Named("subject", subject), clickhouse.Named("limit", uint32(limit)))
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	var all []schemas.AuditRecord
	for rows.Next() {
		a := schemas.AuditRecord{TenantID: tenantID}
		var at time.Time
		if err := rows.Scan(&a.AuditID, &at, &a.Actor, &a.From, &a.Action, &a.Subject, &a.Outcome, &a.Detail); err != nil {
			return nil, errors.Join(fmt.Errorf("read audit: %w", err), rows.Close())
		}
		a.Time = schemas.TimeOf(at)
		all = append(all, a)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	return all, nil
}
