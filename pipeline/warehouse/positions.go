package warehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/schemas"
)

// Positions accounts for the records of one partition of a source topic: those
// stored, those erased since, and those dead-lettered, each offset counted once.
type Positions struct {
	Partition int32
	// First and Last are the lowest and highest offset seen, inclusive.
	First, Last int64
	Stored      int64
	DeadLetters int64
	// Erased are offsets whose records were erased, or not stored because of that.
	Erased int64
	// Overlaps is how many records too many there are: offsets stored as two different
	// rows, or both stored and dead-lettered. A replay is no overlap, it is the same
	// row. Offsets overlap where a log lost its tail and gave them to new records.
	Overlaps int64
	// seen is how many different offsets there are.
	seen int64
}

// Missing is how many offsets between First and Last are neither stored, erased
// nor dead-lettered, though Kafka has a record there.
func (p Positions) Missing() int64 { return p.Last - p.First + 1 - p.seen }

// Positions returns the account of each partition of a source topic, by number. It
// reads key columns of the whole table, in memory of about one bit for each offset:
// exact distinct counts would take some fifty bytes.
func (w *Warehouse) Positions(ctx context.Context, topic schemas.Topic) ([]Positions, error) {
	// FINAL leaves one of each replayed row, as a merge would. A row's month is part
	// of its identity, so there is nothing to merge across partitions.
	rows, err := w.conn.Query(ctx, fmt.Sprintf(`
WITH groupBitmapStateIf(toUInt64(source_offset), kind = 0) AS stored, groupBitmapStateIf(toUInt64(source_offset), kind = 1) AS letters
SELECT source_partition, min(source_offset), max(source_offset),
  toInt64(bitmapCardinality(stored)), toInt64(bitmapCardinality(letters)),
  toInt64(uniqExactIf(source_offset, kind = 2)),
  toInt64(countIf(kind = 0)) - toInt64(bitmapCardinality(stored)) + toInt64(bitmapAndCardinality(stored, letters)),
  toInt64(groupBitmap(toUInt64(source_offset)))
FROM (
  SELECT source_partition, source_offset, 0 AS kind FROM %s FINAL
  UNION ALL
  SELECT source_partition, source_offset, 1 AS kind FROM dead_letters WHERE topic = {topic:String}
  UNION ALL
  SELECT source_partition, source_offset, 2 AS kind FROM erased_rows WHERE topic = {topic:String}
  UNION ALL
  SELECT source_partition, arrayJoin(range(first, next)), 3 AS kind FROM voids WHERE topic = {topic:String})
GROUP BY source_partition ORDER BY source_partition
SETTINGS do_not_merge_across_partitions_select_final = 1`, tableFor(topic)), clickhouse.Named("topic", string(topic)))
	if err != nil {
		return nil, fmt.Errorf("account for %s: %w", topic, err)
	}
	var all []Positions
	for rows.Next() {
		var p Positions
		if err := rows.Scan(&p.Partition, &p.First, &p.Last, &p.Stored, &p.DeadLetters, &p.Erased, &p.Overlaps, &p.seen); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all = append(all, p)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
