package warehouse

import (
	"context"
	"fmt"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// What became of a record that has no row.
const (
	kindDeadLetter = "dead_letter"
	kindVoid       = "void"
	kindErased     = "erased"
	kindAgedOut    = "aged_out"
	kindWrittenOff = "written_off"
)

const (
	// blockBits is the size of a block of positions, see the table accounted.
	blockBits = 20
	blockSize = int64(1) << blockBits
)

const (
	// runsAtOnce and positionsAtOnce bound what one statement accounts for, by what its
	// parameters and its bitmaps cost.
	runsAtOnce      = 1000
	positionsAtOnce = 4 * blockSize
)

// account notes what became of runs of positions of a topic. Noting them again changes
// nothing.
func (w *Warehouse) account(ctx context.Context, topic schemas.Topic, kind string, runs []schemas.Run) error {
	for len(runs) > 0 {
		n, positions := 0, int64(0)
		for n < len(runs) && n < runsAtOnce && (n == 0 || positions < positionsAtOnce) {
			positions += inParts(runs[n])
			n++
		}
		if err := w.accountFor(ctx, topic, kind, runs[:n]); err != nil {
			return err
		}
		runs = runs[n:]
	}
	return nil
}

// inParts is how many positions of a run do not belong to whole blocks.
func inParts(r schemas.Run) int64 {
	first, next := (r.First+blockSize-1)>>blockBits, r.Next>>blockBits // whole blocks
	return r.Next - r.First - max(next-first, 0)<<blockBits
}

func (w *Warehouse) accountFor(ctx context.Context, topic schemas.Topic, kind string, runs []schemas.Run) error {
	partitions, firsts, nexts := make([]int32, len(runs)), make([]int64, len(runs)), make([]int64, len(runs))
	for i, r := range runs {
		partitions[i], firsts[i], nexts[i] = r.Partition, r.First, r.Next
	}
	return w.db.InsertSelect(ctx, "accounted", accountedColumns, `
SELECT {topic:String}, p, {kind:String}, of_block, max(all), groupBitmapStateIf(toUInt32(bitAnd(position, 1048575)), NOT all)
FROM (
  SELECT p, of_block, toUInt8(last - first = 1048576) AS all, arrayJoin(if(all, [first], range(first, last))) AS position
  FROM (
    SELECT run.1 AS p, arrayJoin(range(bitShiftRight(run.2, 20), bitShiftRight(run.3 - 1, 20) + 1)) AS of_block,
      greatest(run.2, of_block * 1048576) AS first, least(run.3, (of_block + 1) * 1048576) AS last
    FROM (SELECT arrayJoin(arrayZip({partitions:Array(Int32)}, {firsts:Array(Int64)}, {nexts:Array(Int64)})) AS run)))
GROUP BY p, of_block`,
		tables.Named("topic", string(topic)), tables.Named("kind", kind), tables.Named("partitions", partitions),
		tables.Named("firsts", firsts), tables.Named("nexts", nexts))
}

const accountedColumns = "topic, source_partition, kind, block, whole, offsets"

// RecordVoids notes runs of positions of a partition that hold no record for readers.
// Recording one again changes nothing.
func (w *Warehouse) RecordVoids(ctx context.Context, voids []schemas.Void) error {
	byTopic := map[schemas.Topic][]schemas.Run{}
	for _, v := range voids {
		byTopic[v.Topic] = append(byTopic[v.Topic], schemas.Run{Partition: v.Partition, First: v.First, Next: v.Next})
	}
	for topic, runs := range byTopic {
		if err := w.account(ctx, topic, kindVoid, runs); err != nil {
			return err
		}
	}
	return nil
}

// WriteOff notes positions whose records are lost for good and are not to be waited for.
func (w *Warehouse) WriteOff(ctx context.Context, topic schemas.Topic, runs []schemas.Run) error {
	return w.account(ctx, topic, kindWrittenOff, runs)
}

// bitmaps selects, by partition, block and kind, the positions of a topic that are accounted
// for; those of rows have the kind ”. A bitmap has the place of each within its block:
// ClickHouse's functions for ranges of bitmaps do not go past 32 bits. Rows come before erased ones: an erasure writes first and then
// removes, so what is gone from the one is in the other.
func bitmaps(topic schemas.Topic) string {
	return fmt.Sprintf(`
  SELECT source_partition AS p, bitShiftRight(source_offset, 20) AS block, '' AS kind, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) AS seen, toUInt8(0) AS whole
  FROM %s GROUP BY source_partition, bitShiftRight(source_offset, 20)
  UNION ALL
  SELECT source_partition, block, kind, groupBitmapMergeState(offsets), toUInt8(max(whole))
  FROM accounted WHERE topic = {topic:String} GROUP BY source_partition, block, kind`, tables.Holding(topic))
}
