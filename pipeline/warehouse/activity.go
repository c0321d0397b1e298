package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// HasTenant reports whether any row of any entity belongs, or belonged, to the tenant.
func (w *Warehouse) HasTenant(ctx context.Context, tenantID string) (bool, error) {
	var n uint64
	err := w.db.Scan(ctx, "look for a tenant", `
SELECT count() FROM (
  SELECT 1 FROM interactions WHERE tenant_id = {tenant:String} LIMIT 1
  UNION ALL SELECT 1 FROM contacts WHERE tenant_id = {tenant:String} LIMIT 1
  UNION ALL SELECT 1 FROM erased_rows WHERE tenant_id = {tenant:String} LIMIT 1
  UNION ALL SELECT 1 FROM aged_out WHERE tenant_id = {tenant:String} LIMIT 1)`, []any{tables.Named("tenant", tenantID)}, &n)
	return n > 0, err
}

// Tenants lists those that have any interactions or contacts and whose id contains a text,
// beginning after an id: at most limit, in order.
func (w *Warehouse) Tenants(ctx context.Context, containing, after string, limit int) ([]string, error) {
	some := tables.Tenants("interactions") + " UNION ALL " + tables.Tenants("contacts")
	return w.db.Texts(ctx, "list tenants", "SELECT DISTINCT tenant FROM ("+some+") ORDER BY tenant LIMIT {limit:UInt32}",
		tables.Named("containing", containing), tables.Named("after", after), tables.Named("limit", uint32(limit)))
}

// QueuesAmong returns those of some names that are queues of the tenant's interactions.
func (w *Warehouse) QueuesAmong(ctx context.Context, tenantID string, names []string) ([]string, error) {
	return w.db.Texts(ctx, "look for queues",
		"SELECT DISTINCT toString(queue) AS name FROM interactions WHERE tenant_id = {tenant:String} AND has({names:Array(String)}, queue) ORDER BY name",
		tables.Named("tenant", tenantID), tables.Named("names", names))
}

// HourCount is how many interactions began in an hour.
type HourCount struct {
	Hour         schemas.Time
	Interactions int64
}

// Hours counts the interactions that began in each of the last 24 hours that had any, the
// earliest first, of one tenant or, with schemas.AllTenants, of all. Versions of an
// interaction count once.
func (w *Warehouse) Hours(ctx context.Context, tenantID string, now schemas.Time) (all []HourCount, err error) {
	err = w.db.Each(ctx, "count interactions by hour", `
SELECT toStartOfHour(started_at) AS hour, toInt64(uniqExact(tenant_id, interaction_id)) FROM interactions
WHERE ({tenant:String} = '*' OR tenant_id = {tenant:String})
  AND started_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND started_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')
GROUP BY hour ORDER BY hour`,
		[]any{tables.Named("tenant", tenantID), tables.Named("from", now.Add(-24*time.Hour).UnixMilli()), tables.Named("to", now.UnixMilli())},
		func(rows driver.Rows) error {
			var at time.Time
			var n int64
			err := rows.Scan(&at, &n)
			all = append(all, HourCount{schemas.TimeOf(at), n})
			return err
		})
	return all, err
}

// Stored is how much history there is.
type Stored struct {
	// Versions are those of all interactions.
	Versions int64
	// From and To are when the first and the last interaction of the tenant began; zero if
	// none exists, and for all tenants together.
	From, To schemas.Time
}

// Stored returns how many versions of interactions are stored, and of which time, of one
// tenant or, with schemas.AllTenants, how many of all. It reads a projection and the ends of
// the table's order, so that it costs the same however many there are.
func (w *Warehouse) Stored(ctx context.Context, tenantID string) (s Stored, err error) {
	if tenantID == schemas.AllTenants {
		return s, w.db.Scan(ctx, "count interactions", "SELECT toInt64(count()) FROM interactions", nil, &s.Versions)
	}
	tenant := []any{tables.Named("tenant", tenantID)}
	if err := w.db.Scan(ctx, "count interactions", "SELECT toInt64(count()) FROM interactions WHERE tenant_id = {tenant:String}", tenant, &s.Versions); err != nil || s.Versions == 0 {
		return s, err
	}
	for order, at := range map[string]*schemas.Time{"ASC": &s.From, "DESC": &s.To} {
		var began time.Time
		sql := "SELECT max(at) FROM (SELECT started_at AS at FROM interactions WHERE tenant_id = {tenant:String} ORDER BY started_at " + order + " LIMIT 1)"
		if err := w.db.Scan(ctx, "look for the ends of history", sql, tenant, &began); err != nil {
			return s, err
		}
		*at = schemas.TimeOf(began)
	}
	return s, nil
}

// MediaTypes counts the rows that a query of interactions selects, by media type.
func (w *Warehouse) MediaTypes(ctx context.Context, q Query) (map[string]int64, error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	sql := fmt.Sprintf("SELECT medium, toInt64(count()) FROM (%s) WHERE passes GROUP BY medium", q.newestOfAll(t, "toString(media_type) AS medium"))
	err = w.db.Each(ctx, "count media types", sql, q.arguments(schemas.RowKey{Time: q.Filter.From}, nil), func(rows driver.Rows) error {
		var medium string
		var n int64
		if err := rows.Scan(&medium, &n); err != nil {
			return err
		}
		counts[medium] = n
		return nil
	})
	return counts, err
}
