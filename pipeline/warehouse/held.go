package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Held is the first hold of any row that the erasure would remove versions of.
func (i Impact) Held(holds schemas.Holds) (schemas.Hold, bool) {
	for entity, rows := range i.rows {
		for _, row := range rows {
			if !slices.ContainsFunc(row.versions, func(v erasableVersion) bool { return i.erased(entity, v) }) {
				continue
			}
			var contacts []string
			for _, v := range row.versions {
				contacts = append(contacts, v.contact)
			}
			if h, held := holds.OfRow(entity, row.key, contacts); held {
				return h, true
			}
		}
	}
	return schemas.Hold{}, false
}

// EarliestHeld is the time of the first row of an entity that a hold keeps, of those from
// before a time; false if none exists.
func (w *Warehouse) EarliestHeld(ctx context.Context, tenantID, entity string, holds schemas.Holds, before time.Time) (earliest time.Time, found bool, err error) {
	t, err := tableOf(entity)
	if err != nil {
		return earliest, false, err
	}
	var held []string
	for _, h := range holds {
		if len(h.Contacts) > 0 {
			held = append(held, among("contact_id", h.Contacts))
		}
		if entity == schemas.EntityInteraction && len(h.Interactions) > 0 {
			held = append(held, among("interaction_id", h.Interactions))
		}
		if !h.From.IsZero() {
			held = append(held, fmt.Sprintf("%[1]s >= fromUnixTimestamp64Milli(%[2]d, 'UTC') AND %[1]s < fromUnixTimestamp64Milli(%[3]d, 'UTC')", t.time, h.From.UnixMilli(), h.To.UnixMilli()))
		}
	}
	if len(held) == 0 {
		return earliest, false, nil
	}
	var n uint64
	err = w.db.Scan(ctx, "look for rows that are held", fmt.Sprintf(
		"SELECT count(), min(%[1]s) FROM %[2]s WHERE tenant_id = {tenant:String} AND %[1]s < fromUnixTimestamp64Milli({before:Int64}, 'UTC') AND ((%[3]s))",
		t.time, t.name, strings.Join(held, ") OR (")), []any{tables.Named("tenant", tenantID), tables.Named("before", before.UnixMilli())}, &n, &earliest)
	return earliest, n > 0, err
}
