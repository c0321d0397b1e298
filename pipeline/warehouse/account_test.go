package warehouse_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// storeAt stores contacts at positions of a partition, in two months.
func storeAt(t *testing.T, w *warehouse.Warehouse, partition int32, positions ...int64) {
	t.Helper()
	if len(positions) == 0 {
		return
	}
	b := schemas.Batch[*schemas.Contact]{Topic: schemas.TopicContacts, Partition: partition, First: positions[0], Next: positions[len(positions)-1] + 1}
	for _, position := range positions {
		b.Records = append(b.Records, schemas.Record[*schemas.Contact]{Partition: partition, Offset: position, Event: &schemas.Contact{
			ContactID: fmt.Sprint(partition, "/", position), TenantID: "missing",
			CreatedAt: schemas.TimeOf(time.Date(2026, time.Month(1+position%2), 1, 0, 0, 0, 0, time.UTC)),
		}})
	}
	check(t, w.InsertContacts(t.Context(), b))
}

func run(partition int32, first, next int64) schemas.Run {
	return schemas.Run{Partition: partition, First: first, Next: next}
}

// letterAt dead-letters a run of positions.
func letterAt(t *testing.T, w *warehouse.Warehouse, r schemas.Run) {
	t.Helper()
	check(t, w.RecordDeadLetters(t.Context(), []schemas.DeadLetter{{Topic: schemas.TopicContacts, Partition: r.Partition, Offset: r.First, Next: r.Next, Code: schemas.CodeJSON}}))
}

func voidAt(t *testing.T, w *warehouse.Warehouse, r schemas.Run) {
	t.Helper()
	check(t, w.RecordVoids(t.Context(), []schemas.Void{{Topic: schemas.TopicContacts, Partition: r.Partition, First: r.First, Next: r.Next}}))
}

// account returns that of one partition.
func account(t *testing.T, w *warehouse.Warehouse, used ...schemas.Run) warehouse.PartitionAccount {
	t.Helper()
	all, err := w.Account(t.Context(), schemas.TopicContacts, used)
	check(t, err)
	if len(all) != 1 {
		t.Fatalf("%v has %d accounts", used, len(all))
	}
	return all[0]
}

func TestEachPositionCountsOnceUnderWhatBecameOfIt(t *testing.T) {
	w := open(t)
	const p = 70
	for range 2 { // whatever is noted twice changes nothing
		storeAt(t, w, p, 0, 1, 2, 3)
		letterAt(t, w, run(p, 3, 6)) // of what is stored, and a batch
		voidAt(t, w, run(p, 5, 8))
		check(t, w.WriteOff(t.Context(), schemas.TopicContacts, []schemas.Run{run(p, 6, 10)}))
	}
	want := warehouse.PartitionAccount{Partition: p, Used: 12, Stored: 4, DeadLetters: 2, Voids: 2, WrittenOff: 2, Missing: 2}
	if got := account(t, w, run(p, 0, 12)); got != want {
		t.Errorf("the account is %+v, want %+v", got, want)
	}
	if n, err := w.Overlaps(t.Context(), schemas.TopicContacts); err != nil || n != 0 {
		t.Errorf("%d positions were used twice, %v", n, err)
	}
}

func TestAPartitionThatClickHouseHasNothingOfIsMissing(t *testing.T) {
	w := open(t)
	want := warehouse.PartitionAccount{Partition: 79, Used: 12, Missing: 12}
	if got := account(t, w, run(79, 0, 12)); got != want {
		t.Errorf("the account is %+v, want %+v", got, want)
	}
}

func TestWhatWasWrittenOffNeedNotHaveBeenRead(t *testing.T) {
	w := open(t)
	storeAt(t, w, 78, 0, 1)
	check(t, w.WriteOff(t.Context(), schemas.TopicContacts, []schemas.Run{run(78, 2, 9)}))
	reached, err := w.Reached(t.Context(), schemas.TopicContacts)
	if err != nil || reached[78] != 2 {
		t.Errorf("the partition was read up to %d, %v; ClickHouse has an account of 2 records that were", reached[78], err)
	}
}

func TestAVoidOfAnyLengthIsAccountedForInAMoment(t *testing.T) {
	w := open(t)
	const p = 71
	long := run(p, 5, 3_000_000_007) // three thousand million positions
	voidAt(t, w, long)
	storeAt(t, w, p, 0, 1, 3, 3_000_000_007)
	if got := account(t, w, run(p, 0, 3_000_000_010)); got.Voids != long.Next-long.First || got.Stored != 4 || got.Missing != 4 {
		t.Errorf("the account is %+v", got)
	}
	gaps, more, err := w.Gaps(t.Context(), schemas.TopicContacts, []schemas.Run{run(p, 0, 3_000_000_010)}, 10)
	if want := "[{71 2 3} {71 4 5} {71 3000000008 3000000010}]"; err != nil || more || fmt.Sprint(gaps) != want {
		t.Errorf("missing are %v (more: %t), want %s, %v", gaps, more, want, err)
	}
	gaps, more, err = w.Gaps(t.Context(), schemas.TopicContacts, []schemas.Run{run(p, 0, 3_000_000_010)}, 2)
	if err != nil || !more || len(gaps) != 2 {
		t.Errorf("of three gaps at most two are %v (more: %t), %v", gaps, more, err)
	}
}

func TestRowsThatClickHouseLostAreStoredAgainByTheSameInsert(t *testing.T) {
	w := open(t)
	const p = 60
	for _, step := range []string{"first", "after the rows were lost"} {
		storeAt(t, w, p, 0, 1, 2, 3, 4)
		missing, err := w.Missing(t.Context(), schemas.TopicContacts, []schemas.Run{run(p, 0, 5)})
		if err != nil || missing != 0 {
			t.Fatalf("%s: %d rows are missing, %v", step, missing, err)
		}
		lose(t, "contacts", fmt.Sprintf("source_partition = %d", p))
	}
}

// TestMissingIsWhatAModelCounts compares partitions with and without gaps, tails, voids and
// edges of blocks, in two incarnations of a topic.
func TestMissingIsWhatAModelCounts(t *testing.T) {
	w := open(t)
	const edge = int64(1) << 20
	partition := int32(100)
	rapid.Check(t, func(rt *rapid.T) {
		partition++ // one of its own
		accounted := map[int64]bool{}
		var stored []int64
		var letters []schemas.DeadLetter
		var voids []schemas.Void
		bases := []int64{0, edge - 20, 1<<40 - 20, 1<<40 + edge - 20}
		for _, base := range bases {
			for at := base; at < base+40; at++ {
				switch rapid.IntRange(0, 40).Draw(rt, "kind") {
				case 0: // lost
					continue
				case 1:
					letters = append(letters, schemas.DeadLetter{Topic: schemas.TopicContacts, Partition: partition, Offset: at})
				case 2:
					voids = append(voids, schemas.Void{Topic: schemas.TopicContacts, Partition: partition, First: at, Next: at + 3})
					accounted[at+1], accounted[at+2] = true, true
				default:
					stored = append(stored, at)
				}
				accounted[at] = true
			}
		}
		storeAt(t, w, partition, stored...)
		check(t, w.RecordDeadLetters(t.Context(), letters))
		check(t, w.RecordVoids(t.Context(), voids))
		var used []schemas.Run
		want := map[int64]bool{}
		for _, base := range bases {
			first := base + rapid.Int64Range(0, 50).Draw(rt, "first")
			next := first + rapid.Int64Range(0, 40).Draw(rt, "length")
			used = append(used, run(partition, first, next))
			for at := first; at < next; at++ {
				if !accounted[at] {
					want[at] = true
				}
			}
		}
		got, err := w.Missing(t.Context(), schemas.TopicContacts, used)
		gaps, more, gapsErr := w.Gaps(t.Context(), schemas.TopicContacts, used, 1000)
		if err != nil || gapsErr != nil || more {
			rt.Fatal(err, gapsErr, more)
		}
		in := int64(0)
		for _, g := range gaps {
			in += g.Next - g.First
			for at := g.First; at < g.Next; at++ {
				if !want[at] {
					rt.Errorf("%d is called missing and is not", at)
				}
			}
		}
		if got != int64(len(want)) || in != got {
			rt.Errorf("%d are missing of %v and %d are in gaps, want %d: stored %v", got, used, in, len(want), stored)
		}
	})
}

func TestAStatusEventThatIsPublishedAgainLeavesNoHoleInTheAccount(t *testing.T) {
	w, l := open(t), history(t)
	const p = 17
	store := func(offset int64, event string) {
		t.Helper()
		e := &schemas.ExportStatus{TenantID: "missing", ExportID: "e1", EventID: event, State: schemas.Requested, Time: from}
		check(t, l.InsertStatus(t.Context(), schemas.Batch[*schemas.ExportStatus]{
			Topic: schemas.TopicExportStatus, Partition: p, First: offset, Next: offset + 1,
			Records: []schemas.Record[*schemas.ExportStatus]{{Event: e, Partition: p, Offset: offset}},
		}))
	}
	store(0, "requested")
	store(1, "planned")
	store(2, "requested") // by a worker that took over
	store(2, "requested") // read again
	store(5, "completed")
	check(t, stacktest.ClickHouse(t).Exec(t.Context(), "OPTIMIZE TABLE export_events FINAL"))
	gaps, _, err := w.Gaps(t.Context(), schemas.TopicExportStatus, []schemas.Run{run(p, 0, 6)}, 10)
	if want := "[{17 3 5}]"; err != nil || fmt.Sprint(gaps) != want {
		t.Errorf("missing are %v, want %s, %v", gaps, want, err)
	}
	events, _, err := l.StatusEvents(t.Context(), "missing", "e1")
	if err != nil || len(events) != 4 || schemas.Fold(events...).Events != 3 {
		t.Errorf("%d events fold to %d, want 4 and 3, %v", len(events), schemas.Fold(events...).Events, err)
	}
}
