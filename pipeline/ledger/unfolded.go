package ledger

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
)

// Unfolded calls each with at most limit exports of a tenant, or of all tenants if it is empty, of
// which more events are stored than their fold has. Both tables are read in the order of their
// keys, so that little is held however many exports there are.
func (l *Ledger) Unfolded(ctx context.Context, tenantID string, limit int, each func(tenantID, exportID string) error) error {
	of := ""
	if tenantID != "" {
		of = "WHERE tenant_id = {tenant:String}"
	}
	return l.db.Each(ctx, "look for exports that are not folded", `
SELECT toString(tenant_id), export_id
FROM (SELECT tenant_id, export_id, uniqExact(event_id) AS events FROM export_events `+of+` GROUP BY tenant_id, export_id) AS stored
LEFT JOIN (SELECT tenant_id, export_id, max(version) AS folded FROM exports `+of+` GROUP BY tenant_id, export_id) AS saved USING (tenant_id, export_id)
WHERE events > folded
LIMIT {limit:UInt32}
SETTINGS optimize_aggregation_in_order = 1, join_algorithm = 'full_sorting_merge'`,
		[]any{tables.Named("tenant", tenantID), tables.Named("limit", uint32(limit))}, func(rows driver.Rows) error {
			var tenant, export string
			if err := rows.Scan(&tenant, &export); err != nil {
				return err
			}
			return each(tenant, export)
		})
}
