package warehouse

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Query selects the rows of an export: of the versions below Snapshot the newest of each
// row, if it passes the filter.
type Query struct {
	Filter   schemas.Filter
	Snapshot schemas.Snapshot
	// Before, if there is one, is what an earlier export selected: then only the rows are
	// selected that differ, see Before.
	Before *Before
	// Scattered says that versions of one row lie in several partitions, as Extent found:
	// producers partition their ids differently, or partitions were added. Then the newest
	// of each partition are compared by when they were published. Without Before only.
	Scattered bool
}

// Chunk is a run of consecutive rows: the finest pieces a plan is made from.
type Chunk struct {
	First, Last schemas.RowKey
	Rows        int64
	// Bytes is the size of the rows' JSON Lines.
	Bytes int64
	// Attached is how many of the rows have attachments.
	Attached int64
	// Versions tells which versions of the rows were chosen, what VersionOf them comes to, and
	// AttachedVersions those of the rows that have attachments.
	Versions, AttachedVersions uint64
}

// newest selects, in export order, the newest version within the snapshots of each
// row between two inclusive keys. Within a partition the version at the higher offset is
// newer. Between partitions offsets say nothing: there the version that was published
// later is newer, or else the one in the higher partition, so that the choice is the same
// every time.
//
// LIMIT 1 BY on a prefix of the sorting key streams without a full sort. FINAL
// would not do: it keeps the newest version even past the snapshot, and the row
// would be lost.
//
// Columns are given as "expression AS name".
func (q Query) newest(t table, columns ...string) string { return q.choose(t, true, columns) }

// newestOfAll is newest of all rows the filter's range has.
func (q Query) newestOfAll(t table, columns ...string) string { return q.choose(t, false, columns) }

func (q Query) choose(t table, keys bool, columns []string) string {
	switch {
	case q.Before != nil:
		return q.upserts(t, keys, columns)
	case q.Scattered:
		columns = append(slices.Clone(columns), "source_partition AS in_partition", "published_at AS was_published") // for acrossPartitions
		return q.acrossPartitions(q.within(t, columns, keys, "source_partition"))
	}
	return q.within(t, columns, keys)
}

// acrossPartitions selects, of the newest versions of each partition, the newest.
func (q Query) acrossPartitions(ofPartitions string) string {
	return `
SELECT * EXCEPT(in_partition, was_published) FROM (` + ofPartitions + `)
ORDER BY t, id, was_published DESC, in_partition DESC
LIMIT 1 BY t, id`
}

// within selects the newest version of each row, or of each row and what else by names. It
// says only what is needed: for a few rows ClickHouse takes longer to analyze conditions
// than to read.
func (q Query) within(t table, columns []string, keys bool, by ...string) string {
	row := strings.Join(append([]string{t.time, t.id}, by...), ", ")
	return fmt.Sprintf(`
SELECT %[1]s AS passes, %[2]s AS t, %[3]s AS id, %[4]s
FROM %[5]s
WHERE %[6]s%[8]s
ORDER BY %[7]s, source_offset DESC, stated DESC
LIMIT 1 BY %[7]s`, passing(t, q.Filter, ""), t.time, t.id, strings.Join(columns, ", "), t.name, below(t, keys), row, q.ofContacts(t, keys))
}

// below are the conditions of versions in the range and below the snapshot; with keys, of
// rows between two inclusive ones.
func below(t table, keys bool) string {
	conditions := `tenant_id = {tenant:String}
  AND %[1]s >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND %[1]s <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
  AND source_offset < arrayElement({snapshot:Array(Int64)}, source_partition + 1)`
	if keys {
		conditions += `
  AND (%[1]s, %[2]s) >= (fromUnixTimestamp64Milli({from:Int64}, 'UTC'), {first_id:String})
  AND (%[1]s, %[2]s) <= (fromUnixTimestamp64Milli({last:Int64}, 'UTC'), {last_id:String})`
	}
	return fmt.Sprintf(conditions, t.time, t.id)
}

// passing says whether a version passes a filter, whose values are bound under names that
// begin with prefix. It is looked at after the newest version is chosen: an interaction
// whose media type or queue was corrected counts under the corrected one. Only what is
// asked for is read.
func passing(t table, f schemas.Filter, prefix string) string {
	conditions := []string{"1"}
	if t.media {
		for _, in := range []struct {
			asked         []string
			column, given string
		}{
			{f.MediaTypes, "media_type", "media"}, {f.Queues, "queue", "queues"},
			{f.Directions, "direction", "directions"}, {f.Statuses, "status", "statuses"},
		} {
			if len(in.asked) > 0 {
				conditions = append(conditions, fmt.Sprintf("has({%s%s:Array(String)}, %s)", prefix, in.given, in.column))
			}
		}
	}
	if len(f.Attributes) > 0 {
		conditions = append(conditions, fmt.Sprintf("arrayAll((name, value) -> mapContains(attributes, name) AND attributes[name] = value, {%[1]snames:Array(String)}, {%[1]svalues:Array(String)})", prefix))
	}
	if len(f.Contacts) > 0 {
		conditions = append(conditions, among("contact_id", f.Contacts))
	}
	return "(" + strings.Join(conditions, " AND ") + ")"
}

// arguments binds a range between two inclusive keys, or to the end of the filter
// when last is nil.
func (q Query) arguments(first schemas.RowKey, last *schemas.RowKey) []any {
	until, lastID := q.Filter.To.UnixMilli()-1, ""
	if last != nil {
		until, lastID = last.Time.UnixMilli(), last.ID
	}
	// ClickHouse reads 0 past the end of an array: no record is below the snapshot there.
	args := append(filterArguments(q.Filter, ""),
		tables.Named("tenant", q.Filter.TenantID),
		tables.Named("from", first.Time.UnixMilli()),
		tables.Named("first_id", first.ID),
		tables.Named("last", until),
		tables.Named("last_id", lastID),
		tables.Named("snapshot", append([]int64{}, q.Snapshot...)))
	if q.Before != nil {
		args = append(args, q.Before.arguments()...)
	}
	return args
}

// filterArguments binds what passing asks for.
func filterArguments(f schemas.Filter, prefix string) []any {
	list := func(l []string) []string { return append([]string{}, l...) }
	names := slices.Sorted(maps.Keys(f.Attributes))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = f.Attributes[name]
	}
	return []any{
		tables.Named(prefix+"media", list(f.MediaTypes)),
		tables.Named(prefix+"queues", list(f.Queues)),
		tables.Named(prefix+"directions", list(f.Directions)),
		tables.Named(prefix+"statuses", list(f.Statuses)),
		tables.Named(prefix+"names", list(names)),
		tables.Named(prefix+"values", values),
	}
}

// Chunks calls each with the query's rows in order, cut into runs of n rows (the last may be
// shorter), as they come, having read key columns only. The error of each ends it.
func (w *Warehouse) Chunks(ctx context.Context, q Query, n int64, each func(Chunk) error) error {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return err
	}
	// A row after the last says that there is no more: it is sorted behind the others, so
	// an answer that was cut short has none, whatever else ended it quietly.
	sql := fmt.Sprintf(`
SELECT * FROM (
  SELECT toUInt64(chunk) AS place, min((t, id)).1 AS first_time, min((t, id)).2 AS first_id, max((t, id)).1 AS last_time, max((t, id)).2 AS last_id, toInt64(count()), toInt64(sum(body_bytes)), toInt64(sum(with_files)), sum(version), sumIf(version, with_files)
  FROM (SELECT t, id, body_bytes, with_files, version, intDiv(rowNumberInAllBlocks(), %d) AS chunk FROM (SELECT * FROM (%s) WHERE passes))
  GROUP BY chunk
  UNION ALL
  SELECT toUInt64(18446744073709551615), toDateTime64(0, 3, 'UTC'), '', toDateTime64(0, 3, 'UTC'), '', toInt64(0), toInt64(0), toInt64(0), toUInt64(0), toUInt64(0))
ORDER BY place`, n, q.newestOfAll(t, "body_bytes", t.attached()+" AS with_files", versionOf+" AS version"))
	task := "plan over " + t.name
	var read int64
	var last Chunk
	ended := false
	err = w.db.Each(ctx, task, sql, q.arguments(schemas.RowKey{Time: q.Filter.From}, nil), func(rows driver.Rows) error {
		var c Chunk
		var place uint64
		var from, to time.Time
		if err := rows.Scan(&place, &from, &c.First.ID, &to, &c.Last.ID, &c.Rows, &c.Bytes, &c.Attached, &c.Versions, &c.AttachedVersions); err != nil {
			return err
		}
		if ended = place == math.MaxUint64; ended {
			return nil
		}
		c.First.Time, c.Last.Time = schemas.TimeOf(from), schemas.TimeOf(to)
		inOrder := read == 0 || last.Last.Compare(c.First) < 0
		full := c.Rows <= n && (read == 0 || last.Rows == n)
		if read++; !inOrder || !full { // rows were numbered out of order: never guess
			return fmt.Errorf("%s: chunk %d is out of order, or it or the one before has not %s", task, read, schemas.Counted(n, "row"))
		}
		last = c
		return each(c)
	})
	if err == nil && !ended {
		err = fmt.Errorf("%s: the answer of ClickHouse breaks off after %s", task, schemas.Counted(read, "chunk"))
	}
	return err
}

// Rows streams the JSON Lines between two inclusive keys, in export order, each
// line ended by a line feed. The caller closes them.
func (w *Warehouse) Rows(ctx context.Context, q Query, first, last schemas.RowKey) (Lines, error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return nil, err
	}
	sql := fmt.Sprintf("SELECT version, body FROM (%s) WHERE passes", q.newest(t, versionOf+" AS version", "body"))
	if q.Before != nil {
		sql = q.bodies(t, "1")
	}
	return w.db.Lines(ctx, "read "+t.name, sql, q.arguments(first, &last)...)
}
