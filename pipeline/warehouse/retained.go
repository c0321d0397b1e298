package warehouse

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/schemas"
)

// ExportsIn returns exports of all tenants that are in one of the states, ordered by
// tenant and export id, starting after the given export ("" and "" to begin), at most
// limit. A walk over all of them so holds one page at a time.
func (w *Warehouse) ExportsIn(ctx context.Context, states []schemas.State, afterTenant, afterExport string, limit int) ([]schemas.Export, error) {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	return decoded[schemas.Export](ctx, w, "exports by state", `
SELECT body FROM exports FINAL
WHERE has({states:Array(String)}, state) AND (tenant_id, export_id) > ({tenant:String}, {export:String})
ORDER BY tenant_id, export_id LIMIT {limit:UInt32}`,
		clickhouse.Named("states", names), clickhouse.Named("tenant", afterTenant),
		clickhouse.Named("export", afterExport), clickhouse.Named("limit", uint32(limit)))
}
