package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// ExportFilter says which exports of a tenant to list; empty fields mean any.
type ExportFilter struct {
	TenantID string
	States   []string
	Entity   string
	JobID    string
	// Text is part of the id or of who asked for it, whatever its case.
	Text string
	// From and To bound when it was requested: [From, To).
	From, To schemas.Time
}

var exportListing = listing{
	what: "exports", from: "exports FINAL", columns: "summary", id: "export_id", sort: "requested_at",
	sorts: map[string]sortColumn{
		"requested_at": instant("requested_at"), "updated_at": instant("updated_at"),
		"export_id": text("export_id"), "state": text("state"), "rows": number("rows_done"),
	},
}

// ListExports reads a page of a tenant's exports, without their lists of parts, which
// may be long.
func (w *Warehouse) ListExports(ctx context.Context, f ExportFilter, p Page) (Listed[schemas.Export], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", f.TenantID)
	c.among("state", "states", f.States)
	if f.Entity != "" {
		c.where("entity = {entity:String}", "entity", f.Entity)
	}
	if f.JobID != "" {
		c.where("job_id = {job:String}", "job", f.JobID)
	}
	if f.Text != "" {
		c.where("(positionCaseInsensitiveUTF8(export_id, {text:String}) > 0 OR positionCaseInsensitiveUTF8(JSONExtractString(summary, 'request', 'requested_by'), {text:String}) > 0)", "text", f.Text)
	}
	c.within("requested_at", f.From, f.To)
	return list(ctx, w, exportListing, p, c, func(rows driver.Rows, e *schemas.Export, place ...any) error {
		var summary string
		if err := rows.Scan(append(place, &summary)...); err != nil {
			return err
		}
		err := schemas.Read([]byte(summary), e)
		e.Parts = nil // rows of before the column have them
		return err
	})
}

// LatestRuns reads the latest export of each of a tenant's jobs that ever ran, by job
// id, without their lists of parts.
func (w *Warehouse) LatestRuns(ctx context.Context, tenantID string, jobIDs []string) (map[string]*schemas.Export, error) {
	if len(jobIDs) == 0 {
		return nil, nil
	}
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", tenantID)
	c.among("job_id", "jobs", jobIDs)
	runs, err := decoded[*schemas.Export](ctx, w, "latest runs of jobs",
		"SELECT summary FROM exports FINAL WHERE "+strings.Join(c.list, " AND ")+" ORDER BY requested_at DESC, export_id DESC LIMIT 1 BY job_id", c.args...)
	if err != nil {
		return nil, err
	}
	latest := make(map[string]*schemas.Export, len(runs))
	for _, e := range runs {
		if e.Parts = nil; e.Request != nil {
			latest[e.Request.JobID] = e
		}
	}
	return latest, nil
}

// ArtifactFilter says which artifacts of a tenant to list; empty fields mean any.
type ArtifactFilter struct {
	TenantID, ExportID, Kind string
	// Present leaves out those that were removed.
	Present bool
}

// ListedArtifact is an artifact and whose it is.
type ListedArtifact struct {
	ExportID string
	Artifact
}

var artifactListing = listing{
	what: "artifacts", from: "artifacts FINAL",
	columns: "export_id, name, kind, part, rows, size, sha256, created_at, expires_at, removed_at",
	id:      "concat(export_id, '/', name)", sort: "created_at",
	sorts: map[string]sortColumn{
		"created_at": instant("created_at"), "name": text("name"), "size": number("size"),
		"expires_at": number("toUnixTimestamp64Milli(ifNull(expires_at, toDateTime64('2199-01-01 00:00:00', 3, 'UTC')))"),
	},
}

// ListArtifacts reads a page of a tenant's artifacts.
func (w *Warehouse) ListArtifacts(ctx context.Context, f ArtifactFilter, p Page) (Listed[ListedArtifact], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", f.TenantID)
	if f.ExportID != "" {
		c.where("export_id = {export:String}", "export", f.ExportID)
	}
	if f.Kind != "" {
		c.where("kind = {kind:String}", "kind", f.Kind)
	}
	if f.Present {
		c.list = append(c.list, "removed_at IS NULL")
	}
	return list(ctx, w, artifactListing, p, c, func(rows driver.Rows, a *ListedArtifact, place ...any) error {
		var part uint32
		var count, size uint64
		var created time.Time
		var expires, removed *time.Time
		err := rows.Scan(append(place, &a.ExportID, &a.Name, &a.Kind, &part, &count, &size, &a.SHA256, &created, &expires, &removed)...)
		a.Key = schemas.ExportPrefix(f.TenantID, a.ExportID) + a.Name
		a.Part, a.Rows, a.Size = int(part), int64(count), int64(size)
		a.CreatedAt, a.ExpiresAt, a.RemovedAt = schemas.TimeOf(created), timeOf(expires), timeOf(removed)
		return err
	})
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
	what: "audit records", from: "audit FINAL", columns: "tenant_id, audit_id, time, actor, source, action, subject, outcome, detail",
	id: "audit_id", sort: "time",
	sorts: map[string]sortColumn{"time": instant("time"), "action": text("action"), "actor": text("actor")},
}

// ListAudit reads a page of a tenant's audit trail.
func (w *Warehouse) ListAudit(ctx context.Context, f AuditFilter, p Page) (Listed[schemas.AuditRecord], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", f.TenantID)
	if f.Subject != "" {
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
	return list(ctx, w, auditListing, p, c, func(rows driver.Rows, a *schemas.AuditRecord, place ...any) error {
		var at time.Time
		err := rows.Scan(append(place, &a.TenantID, &a.AuditID, &at, &a.Actor, &a.From, &a.Action, &a.Subject, &a.Outcome, &a.Detail)...)
		a.Time = schemas.TimeOf(at)
		return err
	})
}

var erasureListing = listing{
	what: "erasures", from: "erasures FINAL", columns: "body", id: "erasure_id", sort: "accepted_at",
	sorts: map[string]sortColumn{
		"accepted_at": text("JSONExtractString(body, 'accepted_at')"), "state": text("state"), "erasure_id": text("erasure_id"),
	},
}

// ListErasures reads a page of a tenant's erasures, in a state or in any if it is empty.
func (w *Warehouse) ListErasures(ctx context.Context, tenantID, state string, p Page) (Listed[schemas.Erasure], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", tenantID)
	if state != "" {
		c.where("state = {state:String}", "state", state)
	}
	return list(ctx, w, erasureListing, p, c, func(rows driver.Rows, e *schemas.Erasure, place ...any) error {
		var body string
		if err := rows.Scan(append(place, &body)...); err != nil {
			return err
		}
		return schemas.Read([]byte(body), e)
	})
}

// DeliveryFilter says which attempts to tell webhooks to list; empty fields mean any.
type DeliveryFilter struct {
	TenantID, JobID, ExportID string
	Outcomes                  []string
}

var deliveryListing = listing{
	what: "webhook deliveries", from: "webhook_deliveries FINAL", columns: "body", sort: "time",
	id:    "concat(webhook_id, '/', leftPad(toString(attempt), 6, '0'))",
	sorts: map[string]sortColumn{"time": instant("time")},
}

// ListDeliveries reads a page of a tenant's attempts to tell webhooks.
func (w *Warehouse) ListDeliveries(ctx context.Context, f DeliveryFilter, p Page) (Listed[schemas.WebhookDelivery], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", f.TenantID)
	if f.JobID != "" {
		c.where("job_id = {job:String}", "job", f.JobID)
	}
	if f.ExportID != "" {
		c.where("export_id = {export:String}", "export", f.ExportID)
	}
	c.among("outcome", "outcomes", f.Outcomes)
	return list(ctx, w, deliveryListing, p, c, func(rows driver.Rows, d *schemas.WebhookDelivery, place ...any) error {
		var body string
		if err := rows.Scan(append(place, &body)...); err != nil {
			return err
		}
		return schemas.Read([]byte(body), d)
	})
}

// Overview counts what there is, of one tenant or, with schemas.AllTenants, of all.
type Overview struct {
	// Exports counts exports by state.
	Exports map[string]int64
	// ExportedRows is how many rows all completed exports hold together.
	ExportedRows int64
	// Artifacts are the files stored now, ArtifactBytes their size.
	Artifacts, ArtifactBytes int64
	// Hours are the interactions that began in each of the last 24 hours that had any,
	// the earliest first.
	Hours []HourCount
}

// HourCount is how many interactions began in an hour.
type HourCount struct {
	Hour         schemas.Time
	Interactions int64
}

// Overview counts as of now.
func (w *Warehouse) Overview(ctx context.Context, tenantID string, now schemas.Time) (Overview, error) {
	o := Overview{Exports: map[string]int64{}}
	var whose conditions
	whose.where("({tenant:String} = '*' OR tenant_id = {tenant:String})", "tenant", tenantID)
	each := func(sql string, c conditions, into []any, add func()) error {
		return w.each(ctx, sql, c.args, into, add)
	}
	var name string
	var n, sum int64
	err := each("SELECT toString(state), toInt64(count()), toInt64(sum(rows_done)) FROM exports FINAL WHERE "+whose.list[0]+" GROUP BY state",
		whose, []any{&name, &n, &sum}, func() {
			o.Exports[name] = n
			if schemas.State(name) == schemas.Completed {
				o.ExportedRows = sum
			}
		})
	if err == nil {
		err = each("SELECT toInt64(count()), toInt64(sum(size)) FROM artifacts FINAL WHERE "+whose.list[0]+" AND removed_at IS NULL",
			whose, []any{&n, &sum}, func() { o.Artifacts, o.ArtifactBytes = n, sum })
	}
	if err == nil {
		day := whose
		day.within("started_at", schemas.TimeOf(now.Add(-24*time.Hour)), now)
		var hour time.Time
		// Versions of an interaction count once. The bounds are given as instants too,
		// so that the primary key and the months are used.
		err = each("SELECT toStartOfHour(started_at) AS hour, toInt64(uniqExact(tenant_id, interaction_id)) FROM interactions WHERE "+day.list[0]+
			" AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') GROUP BY hour ORDER BY hour",
			day, []any{&hour, &n}, func() { o.Hours = append(o.Hours, HourCount{schemas.TimeOf(hour), n}) })
	}
	if err != nil {
		return o, fmt.Errorf("read the overview: %w", err)
	}
	return o, nil
}

// Tenants lists those that have any interactions, contacts or exports, at most limit.
func (w *Warehouse) Tenants(ctx context.Context, limit int) ([]string, error) {
	var all []string
	var tenant string
	err := w.each(ctx, fmt.Sprintf(`
SELECT DISTINCT toString(tenant_id) AS tenant FROM (
  SELECT DISTINCT tenant_id FROM interactions UNION ALL SELECT DISTINCT tenant_id FROM contacts UNION ALL SELECT DISTINCT tenant_id FROM exports)
ORDER BY tenant LIMIT %d`, limit), nil, []any{&tenant}, func() { all = append(all, tenant) })
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	return all, nil
}

// QueuesAmong returns those of some names that are queues of the tenant's interactions.
func (w *Warehouse) QueuesAmong(ctx context.Context, tenantID string, names []string) ([]string, error) {
	var all []string
	var queue string
	err := w.each(ctx, "SELECT DISTINCT toString(queue) AS name FROM interactions WHERE tenant_id = {tenant:String} AND has({names:Array(String)}, queue) ORDER BY name",
		[]any{clickhouse.Named("tenant", tenantID), clickhouse.Named("names", names)}, []any{&queue}, func() { all = append(all, queue) })
	if err != nil {
		return nil, fmt.Errorf("look for queues: %w", err)
	}
	return all, nil
}

// each scans every row of a query into the same places and calls add after each.
func (w *Warehouse) each(ctx context.Context, sql string, args, into []any, add func()) error {
	rows, err := w.conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return errors.Join(err, rows.Close())
		}
		add()
	}
	return errors.Join(rows.Err(), rows.Close())
}
