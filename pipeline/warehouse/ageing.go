package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// TenantsBefore lists the tenants that have rows of an entity from before a time.
func (w *Warehouse) TenantsBefore(ctx context.Context, entity string, before time.Time) ([]string, error) {
	t, err := tableOf(entity)
	if err != nil {
		return nil, err
	}
	return w.db.Texts(ctx, "list tenants with old "+t.name,
		fmt.Sprintf("SELECT DISTINCT toString(tenant_id) AS tenant FROM %s WHERE %s < fromUnixTimestamp64Milli({before:Int64}, 'UTC') ORDER BY tenant", t.name, t.time),
		tables.Named("before", before.UnixMilli()))
}

// AgedBefore is before when rows of a tenant were removed by Age; the zero time if none
// ever were.
func (w *Warehouse) AgedBefore(ctx context.Context, tenantID, entity string) (schemas.Time, error) {
	var n uint64
	var before time.Time
	err := w.db.Scan(ctx, "look for what aged out", "SELECT count(), max(before) FROM aged_out WHERE tenant_id = {tenant:String} AND entity = {entity:String}",
		[]any{tables.Named("tenant", tenantID), tables.Named("entity", entity)}, &n, &before)
	if err != nil || n == 0 {
		return schemas.Time{}, err
	}
	return schemas.TimeOf(before), nil
}

// Clock is what time it is for ClickHouse.
func (w *Warehouse) Clock(ctx context.Context) (now time.Time, err error) {
	err = w.db.Scan(ctx, "look at the clock of ClickHouse", "SELECT now64(3, 'UTC')", nil, &now)
	return now, err
}

// ageSettings make a lightweight delete end with its statement.
var ageSettings = clickhouse.Settings{"mutations_sync": 2, "lightweight_deletes_sync": 2}

// Age removes the rows of a tenant from before a time and returns how many there were, in
// all versions. Their positions stay accounted for, as aged out. It is safe to repeat, and
// to break off anywhere: what will be removed is written down before anything is.
//
// Rows are only marked as deleted, at a tenth of what rewriting the parts would cost; their
// bytes go when the parts are merged. Erase is for what must be gone at once.
func (w *Warehouse) Age(ctx context.Context, tenantID, entity string, before, now time.Time) (int64, error) {
	t, err := tableOf(entity)
	if err != nil {
		return 0, err
	}
	topic, _ := schemas.SourceOf(entity) // which has a table
	old := fmt.Sprintf("tenant_id = {tenant:String} AND %s < fromUnixTimestamp64Milli({before:Int64}, 'UTC')", t.time)
	args := []any{tables.Named("tenant", tenantID), tables.Named("before", before.UnixMilli()), tables.Named("topic", string(topic)), tables.Named("kind", kindAgedOut)}
	failed := func(err error) error {
		return fmt.Errorf("remove %s of tenant %s from before %s: %w", t.name, tenantID, schemas.TimeOf(before), err)
	}
	rows, reached, err := w.countOld(ctx, t, old, args)
	if err != nil || rows == 0 {
		return 0, err
	}
	// Old rows that are stored meanwhile stay for the next time: nothing accounts for them yet.
	old += " AND source_offset < arrayElement({reached:Array(Int64)}, source_partition + 1)"
	args = append(args, tables.Named("reached", []int64(reached)))
	err = w.db.Insert(ctx, "aged_out", "tenant_id, entity, before, at", func(block driver.Batch) error {
		return block.Append(tenantID, entity, before, now)
	})
	if err != nil {
		return 0, failed(err)
	}
	err = w.db.InsertSelect(ctx, "accounted", accountedColumns, fmt.Sprintf(`
SELECT {topic:String}, source_partition, {kind:String}, bitShiftRight(source_offset, 20) AS of_block, 0, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575)))
FROM %s WHERE %s GROUP BY source_partition, of_block`, t.name, old), args...)
	if err != nil {
		return 0, failed(err)
	}
	err = w.db.Change(tables.WithSettings(ctx, ageSettings), "remove rows", []string{fmt.Sprintf("DELETE FROM %s WHERE %s", w.db.Local(t.name), old)}, args...)
	if err != nil {
		return 0, failed(err)
	}
	return rows, nil
}

// countOld counts rows, and returns per partition the first position past them.
func (w *Warehouse) countOld(ctx context.Context, t table, old string, args []any) (rows int64, reached schemas.Snapshot, err error) {
	err = w.db.Each(ctx, "count rows", fmt.Sprintf("SELECT source_partition, toInt64(count()), max(source_offset) + 1 FROM %s WHERE %s GROUP BY source_partition", t.name, old), args,
		func(found driver.Rows) error {
			var partition int32
			var n, next int64
			if err := found.Scan(&partition, &n, &next); err != nil {
				return err
			}
			for int(partition) >= len(reached) {
				reached = append(reached, 0)
			}
			rows, reached[partition] = rows+n, next
			return nil
		})
	return rows, reached, err
}
