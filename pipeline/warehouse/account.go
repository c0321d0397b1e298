package warehouse

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// PartitionAccount says what became of the records of one partition of a source topic. Each
// position counts once, under the first that applies.
type PartitionAccount struct {
	Partition int32 `json:"partition"`
	// Used is how many positions there are to account for.
	Used        int64 `json:"used"`
	Stored      int64 `json:"stored"`
	DeadLetters int64 `json:"dead_lettered"`
	// Voids are positions without a record for readers, such as marks of transactions.
	Voids      int64 `json:"void"`
	Erased     int64 `json:"erased"`
	AgedOut    int64 `json:"aged_out"`
	WrittenOff int64 `json:"written_off"`
	// Missing is what is left: neither of these, though Kafka had a record there.
	Missing int64 `json:"missing"`
}

// kinds that have a bitmap of their own, in the order in which they count.
var kinds = []string{"", kindDeadLetter, kindErased, kindAgedOut, kindVoid, kindWrittenOff}

// TopicAccount is what became of the records of a topic, up to what ingest has committed.
type TopicAccount struct {
	Topic        schemas.Topic      `json:"topic"`
	Incarnations schemas.Lineage    `json:"incarnations"`
	Partitions   []PartitionAccount `json:"partitions"`
	// Gone are missing positions that Kafka does not have any more, the first of them.
	Gone []schemas.Run `json:"gone"`
	// WriteOffs are those there ever were.
	WriteOffs []schemas.WriteOff `json:"write_offs"`
}

// Missing is how many positions are missing in all.
func (a TopicAccount) Missing() (n int64) {
	for _, p := range a.Partitions {
		n += p.Missing
	}
	return n
}

// Account returns the account of the positions of a source topic that were used, by
// partition. Like Missing it reads bitmaps, not rows.
func (w *Warehouse) Account(ctx context.Context, topic schemas.Topic, used []schemas.Run) ([]PartitionAccount, error) {
	counts, err := w.countKinds(ctx, topic)
	if err != nil {
		return nil, err
	}
	var all []PartitionAccount
	for _, run := range used {
		if n := len(all); n == 0 || all[n-1].Partition != run.Partition {
			c, found := counts[run.Partition]
			if !found { // ClickHouse has nothing of it
				c = make([]int64, len(kinds))
			}
			all = append(all, PartitionAccount{Partition: run.Partition, Stored: c[0], DeadLetters: c[1], Erased: c[2], AgedOut: c[3], Voids: c[4], WrittenOff: c[5]})
		}
		a := &all[len(all)-1]
		missing, err := w.Missing(ctx, topic, []schemas.Run{run})
		if err != nil {
			return nil, err
		}
		a.Used += run.Next - run.First
		a.Missing += missing
	}
	return all, nil
}

// countKinds counts the positions of each partition by kind.
func (w *Warehouse) countKinds(ctx context.Context, topic schemas.Topic) (map[int32][]int64, error) {
	// Each kind has what no kind before it has: per block the union so far grows, and the
	// difference of its sizes counts. A whole block fills the union up.
	all := map[int32][]int64{}
	err := w.db.Each(ctx, "account for "+string(topic), fmt.Sprintf(`
WITH {kinds:Array(String)} AS kinds
SELECT p, sumForEach(arrayDifference(arrayConcat([toInt64(0)], sizes)))
FROM (
  SELECT p, block, groupArray((kind, positions, full)) AS of_kinds,
    arrayMap(n -> if(arrayExists(k -> k.3 > 0 AND indexOf(kinds, k.1) <= n, of_kinds), toInt64(1048576),
      toInt64(bitmapCardinality(arrayFold((union, k) -> bitmapOr(union, k.2), arrayFilter(k -> indexOf(kinds, k.1) <= n, of_kinds), bitmapBuild(emptyArrayUInt32()))))),
      range(1, length(kinds) + 1)) AS sizes
  FROM (SELECT p, block, kind, groupBitmapMergeState(seen) AS positions, max(whole) AS full FROM (%s) GROUP BY p, block, kind)
  GROUP BY p, block)
GROUP BY p`, bitmaps(topic)),
		[]any{tables.Named("topic", string(topic)), tables.Named("kinds", kinds)}, func(rows driver.Rows) error {
			var p int32
			var sizes []int64
			if err := rows.Scan(&p, &sizes); err != nil {
				return err
			}
			if all[p] = sizes[1:]; len(all[p]) != len(kinds) {
				return fmt.Errorf("partition %d has %d kinds", p, len(all[p]))
			}
			return nil
		})
	return all, err
}

// Overlaps is how many positions of a source topic are stored as two different rows. There
// are none unless a position was used twice. It reads key columns of the whole table.
func (w *Warehouse) Overlaps(ctx context.Context, topic schemas.Topic) (n int64, err error) {
	// FINAL leaves one of each replayed row, as a merge would. A row's month is part
	// of its identity, so there is nothing to merge across partitions.
	err = w.db.Scan(ctx, "look for positions of "+string(topic)+" that were used twice", fmt.Sprintf(`
SELECT toInt64(sum(rows - positions)) FROM (
  SELECT source_partition, count() AS rows, groupBitmap(toUInt64(source_offset)) AS positions FROM %s FINAL GROUP BY source_partition)
SETTINGS do_not_merge_across_partitions_select_final = 1`, tables.Holding(topic)), nil, &n)
	return n, err
}

// Scattered is how many rows of a source topic have versions in several partitions, as far
// as a few seconds show; more than limit are not counted.
func (w *Warehouse) Scattered(ctx context.Context, topic schemas.Topic, limit int64) (n int64, err error) {
	t, err := tableOf(schemas.EntityOf(topic))
	if err != nil {
		return 0, err
	}
	ctx = tables.WithSettings(ctx, clickhouse.Settings{"max_execution_time": scatteredSeconds, "timeout_overflow_mode": "break"})
	row := "tenant_id, " + t.time + ", " + t.id
	err = w.db.Scan(ctx, "look for ids of "+string(topic)+" in several partitions", fmt.Sprintf(`
SELECT toInt64(count()) FROM (
  SELECT 1 FROM (SELECT %[1]s FROM %[2]s ORDER BY %[1]s, source_partition LIMIT 1 BY %[1]s, source_partition)
  LIMIT 1 OFFSET 1 BY %[1]s LIMIT %[3]d)`, row, t.name, limit), nil, &n)
	return n, err
}

const scatteredSeconds = 5
