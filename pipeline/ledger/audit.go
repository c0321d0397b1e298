package ledger

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// InsertAudit stores audit records. Storing one again changes nothing.
func (l *Ledger) InsertAudit(ctx context.Context, b schemas.Batch[*schemas.AuditRecord]) error {
	if len(b.Records) == 0 {
		return nil
	}
	return l.db.Insert(ctx, "audit", auditColumns, func(block driver.Batch) error {
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
func (l *Ledger) Audit(ctx context.Context, tenantID, subject string, limit int) (all []schemas.AuditRecord, err error) {
	err = l.db.Each(ctx, "read audit", "SELECT "+auditColumns+` FROM audit FINAL
WHERE tenant_id = {tenant:String} AND ({subject:String} = '' OR subject = {subject:String})
ORDER BY time DESC, audit_id LIMIT {limit:UInt32}`,
		[]any{tables.Named("tenant", tenantID), tables.Named("subject", subject), tables.Named("limit", uint32(limit))},
		func(rows driver.Rows) error {
			var a schemas.AuditRecord
			err := scanAudit(rows, &a)
			all = append(all, a)
			return err
		})
	return all, err
}

// Downloads returns who downloaded files of some exports, by export id, in order of when
// they first did.
func (l *Ledger) Downloads(ctx context.Context, tenantID string, exportIDs []string) (map[string][]schemas.Download, error) {
	all := map[string][]schemas.Download{}
	for some := range tables.Fitting(exportIDs, func(id string) int { return len(id) }) {
		err := l.db.Each(ctx, "read who downloaded exports", `
SELECT subject, actor, toInt64(count()), min(time) AS first, max(time) FROM audit FINAL
WHERE tenant_id = {tenant:String} AND action = 'export.download' AND outcome = {done:String} AND has({exports:Array(String)}, subject)
GROUP BY subject, actor ORDER BY subject, first, actor`,
			[]any{tables.Named("tenant", tenantID), tables.Named("done", schemas.OutcomeDone), tables.Named("exports", some)},
			func(rows driver.Rows) error {
				var export string
				var d schemas.Download
				var first, last time.Time
				err := rows.Scan(&export, &d.By, &d.Times, &first, &last)
				d.First, d.Last = schemas.TimeOf(first), schemas.TimeOf(last)
				all[export] = append(all[export], d)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

const auditColumns = "tenant_id, audit_id, time, actor, source, action, subject, outcome, detail"

// scanAudit reads auditColumns, after the place of a listing.
func scanAudit(rows driver.Rows, a *schemas.AuditRecord, place ...any) error {
	var at time.Time
	err := rows.Scan(append(place, &a.TenantID, &a.AuditID, &at, &a.Actor, &a.From, &a.Action, &a.Subject, &a.Outcome, &a.Detail)...)
	a.Time = schemas.TimeOf(at)
	return err
}

// AuditFilter says which audit records of a tenant to list; empty fields mean any.
type AuditFilter struct {
	TenantID, Subject string
	// Actor is part of the actor's name; Action begins the action, such as export.
	Actor, Action string
	Outcomes      []string
	// From and To bound when it was done: [From, To).
	From, To schemas.Time
}

var auditListing = listing{
	what: "audit records", from: "audit FINAL", columns: auditColumns,
	id: "audit_id", sort: "time",
	sorts: map[string]sortColumn{"time": instant("time"), "action": text("action"), "actor": text("actor")},
}

// ListAudit reads a page of a tenant's audit trail.
func (l *Ledger) ListAudit(ctx context.Context, f AuditFilter, p Page) (Listed[schemas.AuditRecord], error) {
	var c conditions
	c.key("tenant_id = {tenant:String}", "tenant", f.TenantID)
	if f.Subject != "" {
		c.keys = append(c.keys, "audit_id IN (SELECT audit_id FROM audit WHERE tenant_id = {tenant:String} AND subject = {subject:String})")
		c.where("subject = {subject:String}", "subject", f.Subject)
	}
	if f.Actor != "" {
		c.where("positionCaseInsensitiveUTF8(actor, {actor:String}) > 0", "actor", f.Actor)
	}
	if f.Action != "" {
		c.where("startsWith(action, {action:String})", "action", f.Action)
	}
	c.among("outcome", "outcomes", f.Outcomes)
	c.within("time", f.From, f.To)
	return list(ctx, l, auditListing, p, c, scanAudit)
}
