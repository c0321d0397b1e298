package ledger

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// SaveExports replaces what history says of exports, and lists the artifacts of those of their
// parts that come with them, the manifests and the signatures. Of two folds of the same export
// the one of more events stays, in whatever order they are saved. Parts are not kept in the
// row of the export, where each fold would write all of them again.
func (l *Ledger) SaveExports(ctx context.Context, exports []schemas.Export) error {
	if len(exports) == 0 {
		return nil
	}
	// Artifacts first: once history says completed, they are listed.
	if err := l.SaveArtifacts(ctx, exports); err != nil {
		return err
	}
	return l.db.Insert(ctx, "exports", "tenant_id, export_id, entity, state, requested_at, updated_at, rows_done, rows_planned, body, requested_by, of_contacts, sealed_bytes, began_at, version", func(block driver.Batch) error {
		for _, e := range exports {
			entity, requestedBy, ofContacts := "", "", false
			if r := e.Request; r != nil {
				entity, requestedBy, ofContacts = r.Entity, r.RequestedBy, len(r.Contacts) > 0
			}
			began := e.BeganAt
			if began.IsZero() { // an earlier version carried it out
				began = e.RequestedAt
			}
			e.Parts = nil
			body, err := schemas.Encode(e)
			if err == nil {
				err = block.Append(e.TenantID, e.ExportID, entity, string(e.State), e.RequestedAt.Time, e.UpdatedAt.Time,
					uint64(e.Done.Rows), uint64(e.Planned.Rows), string(body), requestedBy, ofContacts, uint64(e.Done.SealedBytes), began.Time, uint64(e.Events))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Export returns where one export stands, without its parts; false if history does not know it.
func (l *Ledger) Export(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	found, err := l.exports(ctx, "read an export", "PREWHERE tenant_id = {tenant:String} AND export_id = {export:String}",
		tables.Named("tenant", tenantID), tables.Named("export", exportID))
	if err != nil || len(found) == 0 {
		return schemas.Export{}, false, err
	}
	return found[0], true, nil
}

// WholeExport is Export with all its parts, of which there may be very many.
func (l *Ledger) WholeExport(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	e, found, err := l.Export(ctx, tenantID, exportID)
	if err != nil || !found {
		return e, found, err
	}
	err = l.EachPart(ctx, [][2]string{{tenantID, exportID}}, func(_ [2]string, r schemas.Receipt) error {
		e.Parts = append(e.Parts, r)
		return nil
	})
	return e, err == nil, err
}

// exports reads exports without their parts: where says which, and in what order. What of it is
// about the table's key alone is best said with PREWHERE: all rows of an export fulfil it or none
// does, and the summaries of the others, some thousands beside each export, are not read.
func (l *Ledger) exports(ctx context.Context, task, where string, args ...any) (all []schemas.Export, err error) {
	err = l.eachExport(ctx, task, func(e schemas.Export) error { all = append(all, e); return nil }, where, args...)
	return all, err
}

// eachExport is exports that hands each over as it comes.
func (l *Ledger) eachExport(ctx context.Context, task string, each func(schemas.Export) error, where string, args ...any) error {
	return tables.EachDecoded(ctx, l.db, task, func(e schemas.Export) error {
		e.Parts = nil // rows of before the column have them
		return each(e)
	}, "SELECT summary FROM exports FINAL "+where, args...)
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
PREWHERE (tenant_id, export_id) IN (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {exports:Array(String)})))`,
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

// Exports returns a tenant's exports in a state, or in any if it is empty: the latest
// first, at most limit.
func (l *Ledger) Exports(ctx context.Context, tenantID string, state schemas.State, limit int) ([]schemas.Export, error) {
	return l.exports(ctx, "read exports",
		"WHERE tenant_id = {tenant:String} AND ({state:String} = '' OR state = {state:String}) ORDER BY requested_at DESC, export_id LIMIT {limit:UInt32}",
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
	return l.exports(ctx, "read exports by state", `
WHERE has({states:Array(String)}, state) AND (tenant_id, export_id) > ({tenant:String}, {export:String})
ORDER BY tenant_id, export_id LIMIT {limit:UInt32}`,
		tables.Named("states", names), tables.Named("tenant", afterTenant),
		tables.Named("export", afterExport), tables.Named("limit", uint32(limit)))
}

// holding are the states of exports that have artifacts, or are about to.
var holding = []string{string(schemas.Requested), string(schemas.Planned), string(schemas.Running), string(schemas.Failed), string(schemas.Completed)}

// ExportsWithParts calls each with those of some exports of a tenant that history knows, one
// after the other. Of their parts they have what those hold, and their names.
func (l *Ledger) ExportsWithParts(ctx context.Context, tenantID string, exportIDs []string, each func(schemas.Export) error) error {
	for some := range tables.Fitting(exportIDs, func(id string) int { return len(id) }) {
		found, err := l.exports(ctx, "read exports", "PREWHERE tenant_id = {tenant:String} AND export_id IN (SELECT arrayJoin({exports:Array(String)})) ORDER BY export_id",
			tables.Named("tenant", tenantID), tables.Named("exports", some))
		if err != nil {
			return err
		}
		for _, e := range found {
			if err := l.withRanges(ctx, &e); err != nil {
				return err
			}
			if err := each(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// ExportsHoldingRows calls each with every export of a tenant that has artifacts, or is
// about to have some; failed ones with what their parts hold.
func (l *Ledger) ExportsHoldingRows(ctx context.Context, tenantID string, each func(schemas.Export) error) error {
	return l.eachExport(ctx, "read exports that hold rows", func(e schemas.Export) error {
		if e.State == schemas.Failed && e.Done.Parts > 0 {
			if err := l.withRanges(ctx, &e); err != nil {
				return err
			}
		}
		return each(e)
	}, "WHERE tenant_id = {tenant:String} AND has({states:Array(String)}, state) ORDER BY export_id",
		tables.Named("tenant", tenantID), tables.Named("states", holding))
}

// withRanges adds to an export the names of its parts and which rows they hold, and leaves out
// what else there is of them: digests and keys take most of the room.
func (l *Ledger) withRanges(ctx context.Context, e *schemas.Export) error {
	return l.EachPart(ctx, [][2]string{{e.TenantID, e.ExportID}}, func(_ [2]string, r schemas.Receipt) error {
		e.Parts = append(e.Parts, schemas.Receipt{Part: r.Part, Name: r.Name})
		return nil
	})
}
