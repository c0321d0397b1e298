package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Before is what an earlier export selected. A query with one selects the rows that are
// selected now, and were not, or were as another version; and Removed gives what was
// selected and is not any more. Applied to what the earlier export selected, both give what
// the query without it does, within the filter's range: who applies them also removes what
// lies outside of it.
type Before struct {
	// Filter is the earlier one's, From being from when on rows were kept.
	Filter   schemas.Filter
	Snapshot schemas.Snapshot
	// ErasedFrom and ErasedTo bound when the erasures that Removed lists were recorded in
	// ClickHouse, [from, to): nothing else knows of rows that are gone for good. Both
	// are zero if there was none.
	ErasedFrom, ErasedTo time.Time
}

// erased reports whether Removed lists erasures.
func (b *Before) erased() bool { return b.ErasedFrom.Before(b.ErasedTo) }

func (b *Before) arguments() []any {
	return append(filterArguments(b.Filter, "before_"),
		tables.Named("before", append([]int64{}, b.Snapshot...)),
		tables.Named("before_from", b.Filter.From.UnixMilli()),
		tables.Named("before_to", b.Filter.To.UnixMilli()),
		tables.Named("erased_from", b.ErasedFrom.UnixMicro()),
		tables.Named("erased_to", b.ErasedTo.UnixMicro()))
}

// upserts selects what newest does, of the rows that differ.
func (q Query) upserts(t table, keys bool, columns []string) string {
	expressions, named := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		expression, name, ok := strings.Cut(c, " AS ")
		if !ok {
			name = c
		}
		expressions[i], named[i] = expression, fmt.Sprintf("newest.5.%d AS %s", i+1, name)
	}
	differs := "NOT (had AND earlier.2 = newest.2 AND earlier.3 = newest.3)"
	if q.Before.erased() { // Removed names the id, whatever the time and the version
		differs = "(" + differs + " OR id IN (" + erasedIDs(t) + "))"
	}
	// LIMIT BY takes nothing away: it keeps ClickHouse from dropping the order, which Chunks
	// numbers rows by.
	return fmt.Sprintf(`
SELECT 1 AS passes, t, id, %s FROM (%s)
WHERE passing_now AND %s
ORDER BY t, id
LIMIT 1 BY t, id`, strings.Join(named, ", "), q.bothSides(t, keys, expressions), differs)
}

// removed selects t and id of the rows that Before had and the query has not, those that
// were erased aside.
func (q Query) removed(t table, keys bool) string {
	gone := "had AND NOT passing_now"
	if q.Before.erased() {
		gone += " AND id NOT IN (" + erasedIDs(t) + ")"
	}
	return fmt.Sprintf("SELECT t, id FROM (%s) WHERE %s ORDER BY t, id", q.bothSides(t, keys, nil), gone)
}

// bothSides selects of every row that may differ whether Before had it, and as which
// version (earlier), which its newest version is (newest) and whether that passes now.
// Versions are tuples of published_at, partition, offset, whether they pass, and columns.
// They are chosen as newest does: within a partition by offset, between partitions by when
// they were published. Grouping follows the sorting key, so that it streams.
func (q Query) bothSides(t table, keys bool, columns []string) string {
	candidates := q.ofContacts(t, keys)
	if schemas.FilterDigest(q.Filter) == schemas.FilterDigest(q.Before.Filter) {
		candidates += fmt.Sprintf(`
  AND (%[1]s, %[2]s) IN (SELECT %[1]s, %[2]s FROM %[3]s WHERE %[4]s AND (%[5]s))`, t.time, t.id, t.name, below(t, keys), q.touched(t))
	}
	return fmt.Sprintf(`
SELECT t, id,
  argMaxIf(of_earlier, (of_earlier.1, in_partition), has_earlier) AS earlier,
  argMax(of_newest, (of_newest.1, in_partition)) AS newest,
  max(has_earlier) AND earlier.4 AND t >= fromUnixTimestamp64Milli({before_from:Int64}, 'UTC') AND t < fromUnixTimestamp64Milli({before_to:Int64}, 'UTC') AS had,
  newest.4 AS passing_now
FROM (
  SELECT tenant_id, %[1]s AS t, %[2]s AS id, source_partition AS in_partition,
    argMaxIf((published_at, source_partition, source_offset, %[3]s), (source_offset, stated), %[4]s) AS of_earlier,
    max(%[4]s) AS has_earlier,
    argMax((published_at, source_partition, source_offset, %[5]s, tuple(%[6]s)), (source_offset, stated)) AS of_newest
  FROM %[7]s
  WHERE %[8]s%[9]s
  GROUP BY tenant_id, t, id, in_partition
  SETTINGS optimize_aggregation_in_order = 1)
GROUP BY tenant_id, t, id`, t.time, t.id, passing(t, q.Before.Filter, "before_"), "NOT ("+pastBefore+")", passing(t, q.Filter, ""),
		strings.Join(append(columns, "1"), ", "), t.name, below(t, keys), candidates)
}

// pastBefore says that a version was not below the snapshot of Before.
const pastBefore = "source_offset >= arrayElement({before:Array(Int64)}, source_partition + 1)"

// touched says that something may have happened to a row since Before, whose filter is the
// same.
func (q Query) touched(t table) string {
	conditions := []string{pastBefore}
	if q.Filter.From.Before(q.Before.Filter.From.Time) {
		conditions = append(conditions, t.time+" < fromUnixTimestamp64Milli({before_from:Int64}, 'UTC')")
	}
	if q.Filter.To.After(q.Before.Filter.To.Time) {
		conditions = append(conditions, t.time+" >= fromUnixTimestamp64Milli({before_to:Int64}, 'UTC')")
	}
	if q.Before.erased() {
		conditions = append(conditions, t.id+" IN ("+erasedIDs(t)+")")
	}
	return strings.Join(conditions, " OR ")
}

// erasedIDs selects the ids that Removed lists as erased.
func erasedIDs(t table) string {
	return fmt.Sprintf(`SELECT id FROM erased_subjects WHERE tenant_id = {tenant:String} AND kind = '%s'
  AND recorded_at >= fromUnixTimestamp64Micro({erased_from:Int64}, 'UTC') AND recorded_at < fromUnixTimestamp64Micro({erased_to:Int64}, 'UTC')`, t.erasedKind())
}

// ErasedUntil returns the clock of ClickHouse, and whether erasures of the entity's rows of a
// tenant were recorded at or past from and before that.
func (w *Warehouse) ErasedUntil(ctx context.Context, tenantID, entity string, from time.Time) (now time.Time, erased bool, err error) {
	t, err := tableOf(entity)
	if err != nil {
		return now, false, err
	}
	var some uint8
	err = w.db.Scan(ctx, "look for what was erased", fmt.Sprintf("SELECT now64(6, 'UTC') AS until, EXISTS (SELECT 1 FROM erased_subjects WHERE tenant_id = {tenant:String} AND kind = '%s' AND recorded_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC'))", t.erasedKind()),
		[]any{tables.Named("tenant", tenantID), tables.Named("from", from.UnixMicro())}, &now, &some)
	return now, some > 0, err
}

// CountRemoved is how many removals Removed gives, found without it.
func (w *Warehouse) CountRemoved(ctx context.Context, q Query) (n int64, err error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil || q.Before == nil {
		return 0, err
	}
	erased := "0"
	if q.Before.erased() {
		erased = "(SELECT uniqExact(id) FROM (" + erasedIDs(t) + "))"
	}
	err = w.db.Scan(ctx, "count removals from "+t.name, fmt.Sprintf("SELECT toInt64(count() + %s) FROM (%s)", erased, q.removed(t, false)),
		q.arguments(schemas.RowKey{Time: q.Filter.From}, nil), &n)
	return n, err
}

// Removed calls each with every removal between two inclusive keys, or with all if last is
// nil, in order: the erased ones, which have no time, before the others. An answer that is
// cut short may be taken for a whole one: CountRemoved says how many there are.
func (w *Warehouse) Removed(ctx context.Context, q Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	t, err := tableOf(q.Filter.Entity)
	if err != nil || q.Before == nil {
		return err
	}
	if first.Time.IsZero() && q.Before.erased() {
		if err := w.removedErased(ctx, q, t, first, last, each); err != nil {
			return err
		}
	}
	if last != nil && last.Time.IsZero() {
		return nil
	}
	if first.Time.IsZero() {
		first = schemas.RowKey{Time: q.Filter.From}
	}
	return w.db.Each(ctx, "read removals from "+t.name, q.removed(t, last != nil), q.arguments(first, last), func(rows driver.Rows) error {
		var at time.Time
		r := schemas.Removal{Reason: schemas.RemovedFilter}
		if err := rows.Scan(&at, &r.ID); err != nil {
			return err
		}
		r.Time = schemas.TimeOf(at)
		return each(r)
	})
}

func (w *Warehouse) removedErased(ctx context.Context, q Query, t table, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	sql := "SELECT DISTINCT id FROM (" + erasedIDs(t) + ") WHERE id >= {first_id:String}"
	if last != nil && last.Time.IsZero() {
		sql += " AND id <= {last_id:String}"
	}
	return w.db.Each(ctx, "read what was erased", sql+" ORDER BY id", q.arguments(first, last), func(rows driver.Rows) error {
		r := schemas.Removal{Reason: schemas.RemovedErased}
		if err := rows.Scan(&r.ID); err != nil {
			return err
		}
		return each(r)
	})
}
