package warehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Missing is how many of the positions of a source topic, or of the status topic, that were
// used ClickHouse does not account for: their records are neither stored, dead-lettered, erased, aged out nor
// written off, and yet readers of the topic saw a record there.
//
// Committed offsets cannot answer this: they say what was stored, not what still is. The
// answer comes from the bitmaps that each part of a table carries (sql/0031), never
// from rows. Smallest, largest and number of a block's positions settle a block without
// gaps; only where they leave one are positions compared.
func (w *Warehouse) Missing(ctx context.Context, topic schemas.Topic, used []schemas.Run) (int64, error) {
	gaps, ragged, err := w.holes(ctx, topic, used)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, g := range gaps {
		n += g.Next - g.First
	}
	for pieces := range slices.Chunk(ragged, raggedAtOnce) {
		missing, err := w.countMissing(ctx, topic, pieces)
		if err != nil {
			return 0, err
		}
		n += missing
	}
	return n, nil
}

// Gaps returns the runs of positions that Missing counts, by partition and position, and
// whether there are more than limit: then only those that are returned are known.
func (w *Warehouse) Gaps(ctx context.Context, topic schemas.Topic, used []schemas.Run, limit int) (gaps []schemas.Run, more bool, err error) {
	gaps, ragged, err := w.holes(ctx, topic, used)
	if err != nil {
		return nil, false, err
	}
	for i, piece := range ragged {
		if len(gaps) > limit {
			break
		}
		found, err := w.gapsIn(ctx, topic, piece)
		if err != nil {
			return nil, false, err
		}
		gaps, more = append(gaps, found...), i < len(ragged)-1
	}
	slices.SortFunc(gaps, func(a, b schemas.Run) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First))
	})
	gaps = joinedRuns(gaps)
	if len(gaps) > limit {
		return gaps[:limit], true, nil
	}
	return gaps, more, nil
}

// joinedRuns joins runs that follow each other at once.
func joinedRuns(runs []schemas.Run) (all []schemas.Run) {
	for _, r := range runs {
		if n := len(all) - 1; n >= 0 && all[n].Partition == r.Partition && all[n].Next == r.First {
			all[n].Next = r.Next
			continue
		}
		all = append(all, r)
	}
	return all
}

// raggedAtOnce is how many blocks one question compares.
const raggedAtOnce = 200

// extremes are what the bitmap of a block says without being walked.
type extremes struct {
	whole              bool
	first, last, count int64
}

// holes returns the runs of used positions that are missing as far as extremes tell, and
// the runs, each within a block, that must be looked at.
func (w *Warehouse) holes(ctx context.Context, topic schemas.Topic, used []schemas.Run) (gaps, ragged []schemas.Run, err error) {
	seen, err := w.seen(ctx, topic, "")
	if err != nil {
		return nil, nil, err
	}
	gap := func(partition int32, first, next int64) {
		if first < next {
			gaps = append(gaps, schemas.Run{Partition: partition, First: first, Next: next})
		}
	}
	for _, run := range used {
		for first := run.First; first < run.Next; {
			block := first >> blockBits
			next := min(run.Next, (block+1)<<blockBits)
			e, found := seen[place{run.Partition, block}]
			switch {
			case !found || e.count == 0 && !e.whole:
				gap(run.Partition, first, next)
			case e.whole:
			case e.count == e.last-e.first+1: // no gap between the first and the last
				gap(run.Partition, first, min(next, e.first))
				gap(run.Partition, max(first, e.last+1), next)
			default:
				ragged = append(ragged, schemas.Run{Partition: run.Partition, First: first, Next: next})
			}
			first = next
		}
	}
	return joinedRuns(gaps), ragged, nil
}

// place is a block of a partition.
type place struct {
	partition int32
	block     int64
}

// seen returns the extremes of all blocks of a topic, but for positions of a kind.
func (w *Warehouse) seen(ctx context.Context, topic schemas.Topic, without string) (map[place]extremes, error) {
	all := map[place]extremes{}
	err := w.db.Each(ctx, "look for what is missing of "+string(topic), fmt.Sprintf(`
SELECT p, block, max(whole) AS full, toInt64(bitmapMin(groupBitmapMergeState(seen) AS positions)), toInt64(bitmapMax(positions)), toInt64(bitmapCardinality(positions))
FROM (%s) WHERE kind = '' OR kind != {without:String} GROUP BY p, block`, bitmaps(topic)), []any{tables.Named("topic", string(topic)), tables.Named("without", without)}, func(rows driver.Rows) error {
		var at place
		var e extremes
		var whole uint8
		if err := rows.Scan(&at.partition, &at.block, &whole, &e.first, &e.last, &e.count); err != nil {
			return err
		}
		base := at.block << blockBits
		e.whole, e.first, e.last = whole > 0, base+e.first, base+e.last
		all[at] = e
		return nil
	})
	return all, err
}

// countMissing is how many positions of runs, each within a block, are missing.
func (w *Warehouse) countMissing(ctx context.Context, topic schemas.Topic, pieces []schemas.Run) (n int64, err error) {
	partitions, blocks, firsts, nexts := make([]int32, len(pieces)), make([]int64, len(pieces)), make([]int64, len(pieces)), make([]int64, len(pieces))
	for i, r := range pieces {
		block := r.First >> blockBits
		partitions[i], blocks[i], firsts[i], nexts[i] = r.Partition, block, r.First-block<<blockBits, r.Next-block<<blockBits
	}
	err = w.db.Scan(ctx, "count what is missing of "+string(topic), fmt.Sprintf(`
SELECT toInt64(sum(arraySum((p_, block_, first, next) -> if(p_ = p AND block_ = block,
    next - first - toInt64(bitmapCardinality(bitmapSubsetInRange(positions, toUInt32(first), toUInt32(next)))), 0),
  {partitions:Array(Int32)}, {blocks:Array(Int64)}, {firsts:Array(Int64)}, {nexts:Array(Int64)})))
FROM (
  SELECT p, block, groupBitmapMergeState(seen) AS positions FROM (%s)
  WHERE (p, block) IN (SELECT arrayJoin(arrayZip({partitions:Array(Int32)}, {blocks:Array(Int64)}))) GROUP BY p, block)`, bitmaps(topic)),
		[]any{
			tables.Named("topic", string(topic)), tables.Named("partitions", partitions), tables.Named("blocks", blocks),
			tables.Named("firsts", firsts), tables.Named("nexts", nexts),
		}, &n)
	return n, err
}

// gapsIn returns what is missing of a run within a block.
func (w *Warehouse) gapsIn(ctx context.Context, topic schemas.Topic, r schemas.Run) ([]schemas.Run, error) {
	block := r.First >> blockBits
	base := block << blockBits
	var missing []uint32
	err := w.db.Scan(ctx, "look for what is missing of "+string(topic), fmt.Sprintf(`
SELECT bitmapToArray(bitmapAndnot(bitmapBuild(range({first:UInt32}, {next:UInt32})), groupBitmapMergeState(seen)))
FROM (%s) WHERE p = {partition:Int32} AND block = {block:Int64}`, bitmaps(topic)),
		[]any{
			tables.Named("topic", string(topic)), tables.Named("partition", r.Partition), tables.Named("block", block),
			tables.Named("first", uint32(r.First-base)), tables.Named("next", uint32(r.Next-base)),
		}, &missing)
	if err != nil {
		return nil, err
	}
	var gaps []schemas.Run
	for _, at := range missing {
		gaps = append(gaps, schemas.Run{Partition: r.Partition, First: base + int64(at), Next: base + int64(at) + 1})
	}
	return joinedRuns(gaps), nil
}

// Reached is, per partition of such a topic, the first position past all that was read of
// it, as far as ClickHouse has an account of that. What was written off need never have been
// read.
func (w *Warehouse) Reached(ctx context.Context, topic schemas.Topic) (map[int32]int64, error) {
	seen, err := w.seen(ctx, topic, kindWrittenOff)
	if err != nil {
		return nil, err
	}
	reached := map[int32]int64{}
	for at, e := range seen {
		next := e.last + 1
		if e.whole {
			next = (at.block + 1) << blockBits
		}
		reached[at.partition] = max(reached[at.partition], next)
	}
	return reached, nil
}
