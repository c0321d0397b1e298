package ledger

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Erasure returns where an erasure stands; false if none exists of that id.
func (l *Ledger) Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error) {
	found, err := tables.Decoded[schemas.Erasure](ctx, l.db, "read an erasure",
		"SELECT body FROM erasures FINAL WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}",
		tables.Named("tenant", tenantID), tables.Named("erasure", erasureID))
	if err != nil || len(found) == 0 {
		return schemas.Erasure{}, false, err
	}
	return found[0], true, nil
}

// SaveErasure replaces what is known about an erasure, also if that was saved by a process whose
// clock is ahead.
func (l *Ledger) SaveErasure(ctx context.Context, e schemas.Erasure) error {
	var before uint64
	err := l.db.Scan(ctx, "look for the erasure", "SELECT max(version) FROM erasures WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}",
		[]any{tables.Named("tenant", e.Request.TenantID), tables.Named("erasure", e.Request.ErasureID)}, &before)
	if err != nil {
		return err
	}
	return l.insertErasure(ctx, e, known|max(uint64(time.Now().UnixMilli()), before&^known+1))
}

// RememberErasure says that an erasure is done of which nothing is known. What SaveErasure saves,
// also at the same time, counts.
func (l *Ledger) RememberErasure(ctx context.Context, e schemas.Erasure) error {
	return l.insertErasure(ctx, e, uint64(time.Now().UnixMilli()))
}

// known is the bit of versions that SaveErasure saves.
const known = 1 << 62

func (l *Ledger) insertErasure(ctx context.Context, e schemas.Erasure, version uint64) error {
	body, err := schemas.Encode(e)
	if err != nil {
		return err
	}
	summary, err := schemas.Encode(e.Summary())
	if err != nil {
		return err
	}
	return l.db.Insert(ctx, "erasures", "tenant_id, erasure_id, state, body, summary, version", func(block driver.Batch) error {
		return block.Append(e.Request.TenantID, e.Request.ErasureID, e.State, string(body), string(summary), version)
	})
}

// DoneErasures returns which of erasures are done, by the ID of their requests.
func (l *Ledger) DoneErasures(ctx context.Context, requests []schemas.ErasureRequest) (map[string]bool, error) {
	tenants, ids := make([]string, len(requests)), make([]string, len(requests))
	for i, r := range requests {
		tenants[i], ids[i] = r.TenantID, r.ErasureID
	}
	done := map[string]bool{}
	err := l.db.Each(ctx, "look for erasures", `
SELECT tenant_id, erasure_id FROM erasures FINAL
WHERE state = {done:String} AND (tenant_id, erasure_id) IN (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {ids:Array(String)})))`,
		[]any{tables.Named("done", schemas.ErasureDone), tables.Named("tenants", tenants), tables.Named("ids", ids)},
		func(rows driver.Rows) error {
			var r schemas.ErasureRequest
			err := rows.Scan(&r.TenantID, &r.ErasureID)
			done[r.ID()] = true
			return err
		})
	return done, err
}

// ErasuresSince returns the summaries of the erasures that were done at or past t.
func (l *Ledger) ErasuresSince(ctx context.Context, t time.Time) ([]schemas.Erasure, error) {
	return tables.Decoded[schemas.Erasure](ctx, l.db, "read erasures of late",
		"SELECT summary FROM erasures FINAL WHERE state = {done:String} AND bitAnd(version, bitNot({known:UInt64})) >= {since:UInt64}",
		tables.Named("done", schemas.ErasureDone), tables.Named("since", uint64(t.UnixMilli())), tables.Named("known", uint64(known)))
}

// WaitingErasures returns the summaries of the erasures that are accepted or held.
func (l *Ledger) WaitingErasures(ctx context.Context) ([]schemas.Erasure, error) {
	return tables.Decoded[schemas.Erasure](ctx, l.db, "read erasures that wait",
		"SELECT summary FROM erasures FINAL WHERE state IN ({accepted:String}, {held:String})",
		tables.Named("accepted", schemas.ErasureAccepted), tables.Named("held", schemas.ErasureHeld))
}

var erasureListing = listing{
	what: "erasures", from: "erasures FINAL", columns: "summary", id: "erasure_id", sort: "accepted_at",
	sorts: map[string]sortColumn{
		"accepted_at": text("JSONExtractString(summary, 'accepted_at')"), "state": text("state"), "erasure_id": text("erasure_id"),
	},
}

// ListErasures reads a page of summaries of a tenant's erasures, in a state or in any if it is empty.
func (l *Ledger) ListErasures(ctx context.Context, tenantID, state string, p Page) (Listed[schemas.Erasure], error) {
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", tenantID)
	if state != "" {
		c.where("state = {state:String}", "state", state)
	}
	return list(ctx, l, erasureListing, p, c, func(rows driver.Rows, e *schemas.Erasure, place ...any) error {
		return scanDecoded(rows, e, place)
	})
}
