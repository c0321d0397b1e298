package warehouse

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Query selects the rows of an export: of the versions at or past Since and below
// Snapshot the newest of each row, if it passes the filter.
type Query struct {
	Filter   schemas.Filter
	Snapshot schemas.Snapshot
	// Since is empty for all from the beginning.
	Since schemas.Snapshot
	// Scattered says that versions of one row lie in several partitions, as Extent found:
	// producers partition their ids differently, or partitions were added. Then the newest
	// of each partition are compared by when they were published.
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
func (q Query) newest(t table, columns string) string {
	if q.Scattered {
		return q.acrossPartitions(q.within(t, columns+scatteredColumns, true, "source_partition"))
	}
	return q.within(t, columns, true)
}

// newestOfAll is newest of all rows the filter's range has.
func (q Query) newestOfAll(t table, columns string) string {
	if q.Scattered {
		return q.acrossPartitions(q.within(t, columns+scatteredColumns, false, "source_partition"))
	}
	return q.within(t, columns, false)
}

// scatteredColumns are what acrossPartitions decides by.
const scatteredColumns = ", source_partition AS in_partition, published_at AS was_published"

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
func (q Query) within(t table, columns string, keys bool, by ...string) string {
	more := ""
	if keys {
		more += `
  AND (%[5]s, %[3]s) >= (fromUnixTimestamp64Milli({from:Int64}, 'UTC'), {first_id:String})
  AND (%[5]s, %[3]s) <= (fromUnixTimestamp64Milli({last:Int64}, 'UTC'), {last_id:String})`
	}
	if len(q.Since) > 0 {
		more += `
  AND source_offset >= arrayElement({since:Array(Int64)}, source_partition + 1)`
	}
	row := strings.Join(append([]string{t.time, t.id}, by...), ", ")
	return fmt.Sprintf(`
SELECT %[1]s%[5]s AS t, %[3]s AS id, %[4]s
FROM %[2]s
WHERE tenant_id = {tenant:String}
  AND %[5]s >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND %[5]s <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
  AND source_offset < arrayElement({snapshot:Array(Int64)}, source_partition + 1)`+more+`
ORDER BY %[6]s, source_offset DESC, stated DESC
LIMIT 1 BY %[6]s`, q.passing(t), t.name, t.id, columns, t.time, row)
}

// passing is a column that says whether a version passes the filter. It is looked at
// after the newest version is chosen: an interaction whose media type or queue was
// corrected counts under the corrected one. Only what is asked for is read.
func (q Query) passing(t table) string {
	conditions := []string{"1"}
	if t.media {
		for _, in := range []struct {
			asked         []string
			column, given string
		}{
			{q.Filter.MediaTypes, "media_type", "media"}, {q.Filter.Queues, "queue", "queues"},
			{q.Filter.Directions, "direction", "directions"}, {q.Filter.Statuses, "status", "statuses"},
		} {
			if len(in.asked) > 0 {
				conditions = append(conditions, fmt.Sprintf("has({%s:Array(String)}, %s)", in.given, in.column))
			}
		}
	}
	if len(q.Filter.Attributes) > 0 {
		conditions = append(conditions, `arrayAll((name, value) -> mapContains(attributes, name) AND attributes[name] = value, {names:Array(String)}, {values:Array(String)})`)
	}
	return "(" + strings.Join(conditions, " AND ") + ") AS passes, "
}

// arguments binds a range between two inclusive keys, or to the end of the filter
// when last is nil.
func (q Query) arguments(first schemas.RowKey, last *schemas.RowKey) []any {
	until, lastID := q.Filter.To.UnixMilli()-1, ""
	if last != nil {
		until, lastID = last.Time.UnixMilli(), last.ID
	}
	// ClickHouse reads 0 past the end of an array: no record below the snapshot, every
	// record past since.
	snapshot, since := append([]int64{}, q.Snapshot...), append([]int64{}, q.Since...)
	list := func(l []string) []string { return append([]string{}, l...) }
	names := slices.Sorted(maps.Keys(q.Filter.Attributes))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = q.Filter.Attributes[name]
	}
	return []any{
		tables.Named("tenant", q.Filter.TenantID),
		tables.Named("from", first.Time.UnixMilli()),
		tables.Named("first_id", first.ID),
		tables.Named("last", until),
		tables.Named("last_id", lastID),
		tables.Named("snapshot", snapshot),
		tables.Named("since", since),
		tables.Named("media", list(q.Filter.MediaTypes)),
		tables.Named("queues", list(q.Filter.Queues)),
		tables.Named("directions", list(q.Filter.Directions)),
		tables.Named("statuses", list(q.Filter.Statuses)),
		tables.Named("names", list(names)),
		tables.Named("values", values),
	}
}

// Chunks returns the query's rows in order, cut into runs of n rows (the last may
// be shorter), having read key columns only.
func (w *Warehouse) Chunks(ctx context.Context, q Query, n int64) ([]Chunk, error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return nil, err
	}
	// A row after the last says that there is no more: it is sorted behind the others, so
	// an answer that was cut short has none, whatever else ended it quietly.
	sql := fmt.Sprintf(`
SELECT * FROM (
  SELECT toUInt64(chunk) AS place, min((t, id)).1 AS first_time, min((t, id)).2 AS first_id, max((t, id)).1 AS last_time, max((t, id)).2 AS last_id, toInt64(count()), toInt64(sum(body_bytes)), toInt64(sum(with_files))
  FROM (SELECT t, id, body_bytes, with_files, intDiv(rowNumberInAllBlocks(), %d) AS chunk FROM (SELECT * FROM (%s) WHERE passes))
  GROUP BY chunk
  UNION ALL
  SELECT toUInt64(18446744073709551615), toDateTime64(0, 3, 'UTC'), '', toDateTime64(0, 3, 'UTC'), '', toInt64(0), toInt64(0), toInt64(0))
ORDER BY place`, n, q.newestOfAll(t, "body_bytes, "+t.attached()+" AS with_files"))
	chunks, err := w.chunks(ctx, "plan over "+t.name, sql, q.arguments(schemas.RowKey{Time: q.Filter.From}, nil))
	if err != nil {
		return nil, err
	}
	for i, c := range chunks {
		inOrder := i == 0 || chunks[i-1].Last.Compare(c.First) < 0
		full := c.Rows == n || i == len(chunks)-1
		if !inOrder || !full { // rows were numbered out of order: never guess
			return nil, fmt.Errorf("plan over %s: chunk %d of %d is out of order or has %s instead of %d", t.name, i+1, len(chunks), schemas.Counted(c.Rows, "row"), n)
		}
	}
	return chunks, nil
}

// chunks reads chunks up to a row that says that they are all.
func (w *Warehouse) chunks(ctx context.Context, task, sql string, args []any) (chunks []Chunk, err error) {
	ended := false
	err = w.db.Each(ctx, task, sql, args, func(rows driver.Rows) error {
		var c Chunk
		var place uint64
		var first, last time.Time
		if err := rows.Scan(&place, &first, &c.First.ID, &last, &c.Last.ID, &c.Rows, &c.Bytes, &c.Attached); err != nil {
			return err
		}
		if ended = place == math.MaxUint64; !ended {
			c.First.Time, c.Last.Time = schemas.TimeOf(first), schemas.TimeOf(last)
			chunks = append(chunks, c)
		}
		return nil
	})
	if err == nil && !ended {
		err = fmt.Errorf("%s: the answer of ClickHouse breaks off after %s", task, schemas.Counted(len(chunks), "chunk"))
	}
	return chunks, err
}

// Rows streams the JSON Lines between two inclusive keys, in export order, each
// line ended by a line feed. The caller closes the reader; a read fails if the
// query does, however late.
func (w *Warehouse) Rows(ctx context.Context, q Query, first, last schemas.RowKey) (io.ReadCloser, error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return nil, err
	}
	sql := fmt.Sprintf("SELECT body FROM (%s) WHERE passes", q.newest(t, "body"))
	// TSVRaw of one column is the bodies as they are, a line each.
	return w.db.Lines(ctx, "read "+t.name, sql, q.arguments(first, &last)...)
}
