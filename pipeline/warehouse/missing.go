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
// nor void. Below from, what it has counts as where its account begins: Kafka may have
// let go of what it stored.
//
// It is what committed offsets cannot tell: whether what was stored still is. It reads
// the bitmaps that each part of the table carries along (schemas/sql/0015), not rows,
// so it costs milliseconds where Positions costs seconds.
func (w *Warehouse) Missing(ctx context.Context, topic schemas.Topic, from, to schemas.Snapshot) ([]int64, error) {
	missing := make([]int64, len(to))
	for p := range to {
		missing[p] = max(to[p]-at(from, p), 0)
	}
	// Rows come before erased rows: an erasure writes first and then removes, so what is
	// gone from the one is in the other.
	rows, err := w.conn.Query(ctx, fmt.Sprintf(`
SELECT source_partition, toInt64(bitmapMin(groupBitmapMergeState(offsets) AS seen)) AS first,
  least(first, arrayElement({from:Array(Int64)}, source_partition + 1)) AS start,
  arrayElement({to:Array(Int64)}, source_partition + 1) AS end,
  if(start < end, end - start - toInt64(bitmapCardinality(bitmapSubsetInRange(seen, toUInt64(greatest(start, 0)), toUInt64(end)))), 0)
FROM (
  SELECT source_partition, groupBitmapState(toUInt64(source_offset)) AS offsets FROM %s GROUP BY source_partition
  UNION ALL
  SELECT source_partition, groupBitmapState(toUInt64(source_offset)) FROM dead_letters WHERE topic = {topic:String} GROUP BY source_partition
  UNION ALL
  SELECT source_partition, groupBitmapState(toUInt64(source_offset)) FROM erased_rows WHERE topic = {topic:String} GROUP BY source_partition
  UNION ALL
  SELECT source_partition, groupBitmapState(toUInt64(arrayJoin(range(first, next)))) FROM voids WHERE topic = {topic:String} GROUP BY source_partition)
GROUP BY source_partition`, tableFor(topic)),
		clickhouse.Named("topic", string(topic)),
		clickhouse.Named("from", padded(from, len(to))), clickhouse.Named("to", padded(to, len(to))))
	if err != nil {
		return nil, fmt.Errorf("look for what is missing of %s: %w", topic, err)
	}
	for rows.Next() {
		var p int32
		var first, start, end, n int64
		if err := rows.Scan(&p, &first, &start, &end, &n); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if int(p) < len(missing) {
			missing[p] = n
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("look for what is missing of %s: %w", topic, err)
	}
	return missing, nil
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
