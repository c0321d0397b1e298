package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// InsertStatus stores status events, each with its position. Storing one again changes
// nothing.
func (l *Ledger) InsertStatus(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	if len(b.Records) == 0 {
		return nil
	}
	return l.db.Insert(ctx, "export_events", "tenant_id, export_id, event_id, state, time, body, source_partition, source_offset, position_partition, position_offset", func(block driver.Batch) error {
		for _, r := range b.Records {
			s := r.Event
			body, err := schemas.Encode(s)
			if err == nil {
				err = block.Append(s.TenantID, s.ExportID, s.EventID, string(s.State), s.Time.Time, string(body), r.Partition, r.Offset, r.Partition, r.Offset)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// StatusEvents returns every event of an export in no particular order, those that were
// published again included.
func (l *Ledger) StatusEvents(ctx context.Context, tenantID, exportID string) ([]*schemas.ExportStatus, error) {
	return tables.Decoded[*schemas.ExportStatus](ctx, l.db, "read events of an export",
		"SELECT body FROM export_events FINAL WHERE tenant_id = {tenant:String} AND export_id = {export:String}",
		tables.Named("tenant", tenantID), tables.Named("export", exportID))
}

// StoredTimes returns when each of an export's first parts was stored, by part number:
// the parts from 1 up to at most limit, and of those the ones that are stored.
func (l *Ledger) StoredTimes(ctx context.Context, tenantID, exportID string, limit int) (map[int]schemas.Time, error) {
	times := make(map[int]schemas.Time)
	err := l.db.Each(ctx, "read when parts were stored", `
SELECT event_id, min(time) FROM export_events
WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND event_id BETWEEN {first:String} AND {last:String}
GROUP BY event_id`,
		[]any{
			tables.Named("tenant", tenantID), tables.Named("export", exportID),
			tables.Named("first", schemas.PartEventID(1)), tables.Named("last", schemas.PartEventID(limit)),
		},
		func(rows driver.Rows) error {
			var event string
			var at time.Time
			var number int
			if err := rows.Scan(&event, &at); err != nil {
				return err
			}
			if _, err := fmt.Sscanf(event, "part/%d", &number); err == nil {
				times[number] = schemas.TimeOf(at)
			}
			return nil
		})
	return times, err
}

// SaveExports replaces what history says of exports, and lists their artifacts. Of
// two folds of the same export the one of more events stays, in whatever order
// they are saved.
func (l *Ledger) SaveExports(ctx context.Context, exports []schemas.Export) error {
	if len(exports) == 0 {
		return nil
	}
	// Artifacts first: once history says completed, they are listed.
	if err := l.saveArtifacts(ctx, exports); err != nil {
		return err
	}
	return l.db.Insert(ctx, "exports", "tenant_id, export_id, entity, state, requested_at, updated_at, rows_done, rows_planned, body, summary, requested_by, of_contacts, version", func(block driver.Batch) error {
		for _, e := range exports {
			entity, requestedBy, ofContacts := "", "", false
			if r := e.Request; r != nil {
				entity, requestedBy, ofContacts = r.Entity, r.RequestedBy, len(r.Contacts) > 0
			}
			body, err := schemas.Encode(e)
			listed := e
			listed.Parts = nil
			summary, failed := schemas.Encode(listed)
			if err = errors.Join(err, failed); err == nil {
				err = block.Append(e.TenantID, e.ExportID, entity, string(e.State), e.RequestedAt.Time, e.UpdatedAt.Time,
					uint64(e.Done.Rows), uint64(e.Planned.Rows), string(body), string(summary), requestedBy, ofContacts, uint64(e.Events))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Ledger) saveArtifacts(ctx context.Context, exports []schemas.Export) error {
	return l.db.Insert(ctx, "artifacts", "tenant_id, export_id, name, kind, object_key, part, rows, size, sha256, created_at, expires_at, removed_at, version", func(block driver.Batch) error {
		for _, e := range exports {
			for _, a := range schemas.Artifacts(e) {
				err := block.Append(e.TenantID, e.ExportID, a.Name, a.Kind, a.Key, uint32(a.Part), uint64(a.Rows), uint64(a.Size), a.SHA256,
					a.CreatedAt.Time, nullable(a.ExpiresAt), nullable(a.RemovedAt), uint64(e.Events))
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Export returns where one export stands; false if history does not know it.
func (l *Ledger) Export(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	found, err := tables.Decoded[schemas.Export](ctx, l.db, "read an export",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND export_id = {export:String}",
		tables.Named("tenant", tenantID), tables.Named("export", exportID))
	if err != nil || len(found) == 0 {
		return schemas.Export{}, false, err
	}
	return found[0], true, nil
}

// Summary is Export without its parts, of which there may be very many.
func (l *Ledger) Summary(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	found, err := tables.Decoded[schemas.Export](ctx, l.db, "read an export",
		"SELECT summary FROM exports FINAL WHERE tenant_id = {tenant:String} AND export_id = {export:String}",
		tables.Named("tenant", tenantID), tables.Named("export", exportID))
	if err != nil || len(found) == 0 {
		return schemas.Export{}, false, err
	}
	found[0].Parts = nil // rows from before the column have them
	return found[0], true, nil
}

// States returns where some exports stand, by tenant and id; those that history does not
// know are not in it.
func (l *Ledger) States(ctx context.Context, exports [][2]string) (map[[2]string]schemas.State, error) {
	states := make(map[[2]string]schemas.State, len(exports))
	for some := range tables.Fitting(exports, func(id [2]string) int { return len(id[0]) + len(id[1]) }) {
		tenants, ids := make([]string, len(some)), make([]string, len(some))
		for n, id := range some {
			tenants[n], ids[n] = id[0], id[1]
		}
		// The set of pairs is looked up by the table's key, which comparing columns is not.
		err := l.db.Each(ctx, "read states of exports", `
SELECT toString(tenant_id), export_id, toString(state) FROM exports FINAL
WHERE (tenant_id, export_id) IN (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {exports:Array(String)})))`,
			[]any{tables.Named("tenants", tenants), tables.Named("exports", ids)},
			func(rows driver.Rows) error {
				var id [2]string
				var state string
				err := rows.Scan(&id[0], &id[1], &state)
				states[id] = schemas.State(state)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}

// Parts returns the parts of an export that are stored, those with a number after the given
// one, in order, at most limit.
func (l *Ledger) Parts(ctx context.Context, tenantID, exportID string, after, limit int) ([]schemas.Receipt, error) {
	parts := make([]schemas.Receipt, 0, limit)
	err := tables.EachDecoded(ctx, l.db, "read parts of an export", func(s schemas.ExportStatus) error {
		if s.Part != nil {
			parts = append(parts, *s.Part)
		}
		return nil
	}, `
SELECT body FROM export_events
WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND event_id > {after:String} AND event_id <= {last:String}
ORDER BY event_id, time LIMIT 1 BY event_id LIMIT {limit:UInt32}`,
		tables.Named("tenant", tenantID), tables.Named("export", exportID), tables.Named("limit", uint32(limit)),
		tables.Named("after", schemas.PartEventID(after)), tables.Named("last", schemas.PartEventID(schemas.MaxParts)))
	return parts, err
}

// Artifact returns a stored file of an export by its name; false if there is none.
func (l *Ledger) Artifact(ctx context.Context, tenantID, exportID, name string) (schemas.Artifact, bool, error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", tenantID)
	c.where("export_id = {export:String}", "export", exportID)
	c.where("name = {name:String}", "name", name)
	found, err := list(ctx, l, artifactListing, Page{Limit: 1}, c, scanArtifact(tenantID))
	if err != nil || len(found.Rows) == 0 {
		return schemas.Artifact{}, false, err
	}
	return found.Rows[0].Artifact, true, nil
}

// Exports returns a tenant's exports in a state, or in any if it is empty: the latest
// first, at most limit.
func (l *Ledger) Exports(ctx context.Context, tenantID string, state schemas.State, limit int) ([]schemas.Export, error) {
	return tables.Decoded[schemas.Export](ctx, l.db, "read exports",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND ({state:String} = '' OR state = {state:String}) ORDER BY requested_at DESC, export_id LIMIT {limit:UInt32}",
		tables.Named("tenant", tenantID), tables.Named("state", string(state)), tables.Named("limit", uint32(limit)))
}

// ExportsIn returns exports of all tenants that are in one of the states, ordered by
// tenant and export id, starting after the given export ("" and "" to begin), at most
// limit. A walk over all of them so holds one page at a time.
func (l *Ledger) ExportsIn(ctx context.Context, states []schemas.State, afterTenant, afterExport string, limit int) ([]schemas.Export, error) {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	return tables.Decoded[schemas.Export](ctx, l.db, "read exports by state", `
SELECT body FROM exports FINAL
WHERE has({states:Array(String)}, state) AND (tenant_id, export_id) > ({tenant:String}, {export:String})
ORDER BY tenant_id, export_id LIMIT {limit:UInt32}`,
		tables.Named("states", names), tables.Named("tenant", afterTenant),
		tables.Named("export", afterExport), tables.Named("limit", uint32(limit)))
}

// holding are the states of exports that have artifacts, or are about to.
var holding = []string{string(schemas.Requested), string(schemas.Planned), string(schemas.Running), string(schemas.Failed), string(schemas.Completed)}

// ExportsWithParts calls each with those of some exports of a tenant that history knows, with
// their parts, one after the other.
func (l *Ledger) ExportsWithParts(ctx context.Context, tenantID string, exportIDs []string, each func(schemas.Export) error) error {
	for some := range tables.Fitting(exportIDs, func(id string) int { return len(id) }) {
		err := tables.EachDecoded(ctx, l.db, "read exports with their parts", each,
			"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND has({exports:Array(String)}, export_id) ORDER BY export_id",
			tables.Named("tenant", tenantID), tables.Named("exports", some))
		if err != nil {
			return err
		}
	}
	return nil
}

// ExportsHoldingRows calls each with every export of a tenant that has artifacts, or is
// about to have some; only failed ones with their parts.
func (l *Ledger) ExportsHoldingRows(ctx context.Context, tenantID string, each func(schemas.Export) error) error {
	return tables.EachDecoded(ctx, l.db, "read exports that hold rows", each, `
SELECT if(state = 'failed', body, summary) FROM exports FINAL
WHERE tenant_id = {tenant:String} AND has({states:Array(String)}, state) ORDER BY export_id`,
		tables.Named("tenant", tenantID), tables.Named("states", holding))
}
