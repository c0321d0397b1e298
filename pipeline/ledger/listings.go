package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// ExportFilter says which exports of a tenant to list; empty fields mean any.
type ExportFilter struct {
	TenantID string
	States   []string
	Entity   string
	JobID    string
	// OfContacts leaves only exports of the data of some contacts.
	OfContacts bool
	// Text is part of the id or of who asked for it, whatever its case.
	Text string
	// From and To bound when it was requested: [From, To).
	From, To schemas.Time
}

// few reports whether only exports are listed that are in states which few of them stay in, however
// many there ever were.
func (f ExportFilter) few() bool {
	return len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s string) bool {
		state := schemas.State(s)
		return state.Ended() && state != schemas.Failed && state != schemas.Refused
	})
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
func (l *Ledger) ListExports(ctx context.Context, f ExportFilter, p Page) (Listed[schemas.Export], error) {
	var c conditions
	c.key("tenant_id = {tenant:String}", "tenant", f.TenantID)
	c.among("state", "states", f.States)
	if f.few() {
		// Which have a row in such a state, which a later fold may have replaced, is found by that
		// column alone. To choose the newest rows of all exports takes twice as long.
		c.keys = append(c.keys, "export_id IN (SELECT export_id FROM exports WHERE tenant_id = {tenant:String} AND state IN (SELECT arrayJoin({states:Array(String)})))")
	}
	if f.Entity != "" {
		c.where("entity = {entity:String}", "entity", f.Entity)
	}
	if f.JobID != "" {
		c.where("job_id = {job:String}", "job", f.JobID)
	}
	if f.OfContacts {
		c.list = append(c.list, "of_contacts")
	}
	if f.Text != "" {
		c.where("(positionCaseInsensitiveUTF8(export_id, {text:String}) > 0 OR positionCaseInsensitiveUTF8(requested_by, {text:String}) > 0)", "text", f.Text)
	}
	c.within("requested_at", f.From, f.To)
	return list(ctx, l, exportListing, p, c, func(rows driver.Rows, e *schemas.Export, place ...any) error {
		err := scanDecoded(rows, e, place)
		e.Parts = nil // rows of before the column have them
		return err
	})
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
	schemas.Artifact
}

var artifactListing = listing{
	what: "artifacts", from: "artifacts FINAL",
	columns: "export_id, name, kind, part, rows, size, sha256, created_at, expires_at, removed_at",
	id:      "concat(export_id, '/', name)", sort: "created_at",
	sorts: map[string]sortColumn{
		"created_at": instant("created_at"), "name": text("name"), "part": number("if(part = 0, 4294967295, part)"), "size": number("size"),
		"expires_at": number("toUnixTimestamp64Milli(ifNull(expires_at, toDateTime64('2199-01-01 00:00:00', 3, 'UTC')))"),
	},
}

// ListArtifacts reads a page of a tenant's artifacts.
func (l *Ledger) ListArtifacts(ctx context.Context, f ArtifactFilter, p Page) (Listed[ListedArtifact], error) {
	var c conditions
	c.key("tenant_id = {tenant:String}", "tenant", f.TenantID)
	if f.ExportID != "" {
		c.key("export_id = {export:String}", "export", f.ExportID)
	}
	if f.Kind != "" {
		c.where("kind = {kind:String}", "kind", f.Kind)
	}
	if f.Present {
		c.list = append(c.list, "removed_at IS NULL")
	}
	return list(ctx, l, artifactListing, p, c, scanArtifact(f.TenantID))
}

func scanArtifact(tenantID string) func(driver.Rows, *ListedArtifact, ...any) error {
	return func(rows driver.Rows, a *ListedArtifact, place ...any) error {
		var part uint32
		var count, size uint64
		var created time.Time
		var expires, removed *time.Time
		err := rows.Scan(append(place, &a.ExportID, &a.Name, &a.Kind, &part, &count, &size, &a.SHA256, &created, &expires, &removed)...)
		a.Key = schemas.ExportPrefix(tenantID, a.ExportID) + a.Name
		a.Part, a.Rows, a.Size = int(part), int64(count), int64(size)
		a.CreatedAt, a.ExpiresAt, a.RemovedAt = schemas.TimeOf(created), timeOf(expires), timeOf(removed)
		return err
	}
}
