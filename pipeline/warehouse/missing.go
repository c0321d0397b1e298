package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Missing is, per partition of a source topic, how many offsets at or past from and
// below to ClickHouse does not account for: neither stored, erased nor dead-lettered,
// nor void. Below from, the account begins at the first offset it has: Kafka may have
// deleted what came before.
//
// Committed offsets cannot answer this: they say what was stored, not what still is. The
// answer comes from the bitmaps that each part of the table carries (schemas/sql/0015),
// never from rows. The smallest and largest offset and the cardinality settle a partition
// without gaps, whatever its length; only where they leave a gap are offsets compared.
func (w *Warehouse) Missing(ctx context.Context, topic schemas.Topic, from, to schemas.Snapshot) ([]int64, error) {
	missing := make([]int64, len(to))
	for p := range to {
		missing[p] = max(to[p]-at(from, p), 0)
	}
	seen, err := w.seen(ctx, topic)
	if err != nil {
		return nil, err
	}
	var gaps []int32
	for p, s := range seen {
		start := min(s.first, at(from, int(p)))
		switch {
		case int(p) >= len(to) || to[p] <= start:
		case s.whole():
			missing[p] = to[p] - start - max(min(to[p], s.last+1)-s.first, 0)
		default:
			gaps = append(gaps, p)
		}
	}
	return missing, w.countMissing(ctx, topic, gaps, from, to, missing)
}

// extremes are what a bitmap of offsets says without being walked.
type extremes struct{ first, last, count int64 }

// whole reports whether there is no gap between the first and the last offset.
func (e extremes) whole() bool { return e.count == e.last-e.first+1 }

// seen returns the extremes of the offsets that a topic's partitions have an account of.
func (w *Warehouse) seen(ctx context.Context, topic schemas.Topic) (map[int32]extremes, error) {
	rows, err := w.conn.Query(ctx, fmt.Sprintf(`
SELECT source_partition, toInt64(bitmapMin(seen)), toInt64(bitmapMax(seen)), toInt64(bitmapCardinality(seen))
FROM (SELECT source_partition, groupBitmapMergeState(offsets) AS seen FROM (%s) GROUP BY source_partition)`, accounted(topic)),
		clickhouse.Named("topic", string(topic)))
	if err != nil {
		return nil, fmt.Errorf("look for what is missing of %s: %w", topic, err)
	}
	all := map[int32]extremes{}
	for rows.Next() {
		var p int32
		var e extremes
		if err := rows.Scan(&p, &e.first, &e.last, &e.count); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all[p] = e
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("look for what is missing of %s: %w", topic, err)
	}
	return all, nil
}

// countMissing compares offsets of partitions that have gaps, and fills in how many are
// missing. Of the bitmap only what lies past the end of the range is walked, which is
// what ingest stored since.
func (w *Warehouse) countMissing(ctx context.Context, topic schemas.Topic, partitions []int32, from, to schemas.Snapshot, missing []int64) error {
	if len(partitions) == 0 {
		return nil
	}
	rows, err := w.conn.Query(ctx, fmt.Sprintf(`
SELECT source_partition,
  least(toInt64(bitmapMin(seen)), arrayElement({from:Array(Int64)}, source_partition + 1)) AS start,
  arrayElement({to:Array(Int64)}, source_partition + 1) AS end,
  toInt64(bitmapCardinality(seen)) - toInt64(bitmapCardinality(bitmapSubsetInRange(seen, toUInt64(end), bitmapMax(seen) + 1))) AS below,
  end - start - below
FROM (SELECT source_partition, groupBitmapMergeState(offsets) AS seen FROM (%s) WHERE source_partition IN {partitions:Array(Int32)} GROUP BY source_partition)`, accounted(topic)),
		clickhouse.Named("topic", string(topic)), clickhouse.Named("partitions", partitions),
		clickhouse.Named("from", padded(from, len(to))), clickhouse.Named("to", padded(to, len(to))))
	if err != nil {
		return fmt.Errorf("count what is missing of %s: %w", topic, err)
	}
	for rows.Next() {
		var p int32
		var start, end, below, n int64
		if err := rows.Scan(&p, &start, &end, &below, &n); err != nil {
			return errors.Join(err, rows.Close())
		}
		missing[p] = n
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("count what is missing of %s: %w", topic, err)
	}
	return nil
}

// accounted selects bitmaps of the offsets of a topic that are accounted for, by
// partition. Rows come before erased rows: an erasure writes first and then removes, so
// what is gone from the one is in the other.
func accounted(topic schemas.Topic) string {
	return fmt.Sprintf(`
  SELECT source_partition, groupBitmapState(toUInt64(source_offset)) AS offsets FROM %s GROUP BY source_partition
  UNION ALL
  SELECT source_partition, groupBitmapState(toUInt64(source_offset)) FROM dead_letters WHERE topic = {topic:String} GROUP BY source_partition
  UNION ALL
  SELECT source_partition, groupBitmapState(toUInt64(source_offset)) FROM erased_rows WHERE topic = {topic:String} GROUP BY source_partition
  UNION ALL
  SELECT source_partition, groupBitmapState(toUInt64(arrayJoin(range(first, next)))) FROM voids WHERE topic = {topic:String} GROUP BY source_partition`, tableFor(topic))
}

// Whole is how far ClickHouse accounts for every offset from from on: per partition
// the first that is missing, or to. It asks Missing once if nothing is, some thirty
// times if something is.
func (w *Warehouse) Whole(ctx context.Context, topic schemas.Topic, from, to schemas.Snapshot) (schemas.Snapshot, error) {
	// All partitions are halved at once: below low nothing is missing, below high something is.
	low, high := padded(from, len(to)), slices.Clone(to)
	for asked := slices.Clone(to); ; {
		missing, err := w.Missing(ctx, topic, from, asked)
		if err != nil {
			return nil, err
		}
		done := true
		for p := range asked {
			if missing[p] == 0 {
				low[p] = max(low[p], asked[p])
			} else {
				high[p] = asked[p]
			}
			if missing[p] == 0 && asked[p] == to[p] || high[p]-low[p] <= 1 {
				asked[p] = low[p]
				continue
			}
			asked[p], done = low[p]+(high[p]-low[p])/2, false
		}
		if done {
			return low, nil
		}
	}
}

// RecordVoids notes runs of offsets of a partition that hold no record for readers.
// Recording one again changes nothing.
func (w *Warehouse) RecordVoids(ctx context.Context, voids []schemas.Void) error {
	if len(voids) == 0 {
		return nil
	}
	return w.insertBlock(ctx, "voids", "topic, source_partition, first, next", func(block driver.Batch) error {
		for _, v := range voids {
			if err := block.Append(string(v.Topic), v.Partition, v.First, v.Next); err != nil {
				return err
			}
		}
		return nil
	})
}

// tableFor is the table of a source topic.
func tableFor(topic schemas.Topic) string {
	if topic == schemas.TopicContacts {
		return "contacts"
	}
	return "interactions"
}

func at(s schemas.Snapshot, p int) int64 {
	if p < len(s) {
		return s[p]
	}
	return 0
}

// padded is s for n partitions: new ones begin at 0.
func padded(s schemas.Snapshot, n int) schemas.Snapshot {
	all := make(schemas.Snapshot, n)
	copy(all, s)
	return all
}
