package connect

import (
	"context"
	"time"

	"cdds/ops/config"
	"cdds/schemas"
)

// Aged says which rows were removed for their age; *warehouse.Warehouse does.
type Aged interface {
	AgedBefore(ctx context.Context, tenantID, entity string) (schemas.Time, error)
}

// HistoryFrom returns when the rows of a tenant begin that are kept: as the configuration says
// now, or later if more was removed already.
func HistoryFrom(rows Aged, h config.History, now func() time.Time) func(ctx context.Context, tenantID, entity string) (schemas.Time, error) {
	if now == nil {
		now = time.Now
	}
	return func(ctx context.Context, tenantID, entity string) (schemas.Time, error) {
		from, err := rows.AgedBefore(ctx, tenantID, entity)
		if err != nil {
			return from, err
		}
		if keep := h.Keep(tenantID, entity); keep > 0 {
			if policy := schemas.TimeOf(now().Add(-keep)); policy.Compare(from) > 0 {
				return policy, nil
			}
		}
		return from, nil
	}
}
