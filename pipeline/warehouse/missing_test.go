package warehouse_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// storeAt stores contacts at offsets of a partition, one a month.
func storeAt(t *testing.T, w *warehouse.Warehouse, partition int32, offsets ...int64) {
	t.Helper()
	b := schemas.Batch[*schemas.Contact]{Topic: schemas.TopicContacts, Partition: partition, First: offsets[0], Next: offsets[len(offsets)-1] + 1}
	for _, offset := range offsets {
		b.Records = append(b.Records, schemas.Record[*schemas.Contact]{Partition: partition, Offset: offset, Event: &schemas.Contact{
			ContactID: fmt.Sprint(partition, "/", offset), TenantID: "missing",
			CreatedAt: schemas.TimeOf(time.Date(2026, time.Month(1+offset%12), 1, 0, 0, 0, 0, time.UTC)),
		}})
	}
	if err := w.InsertContacts(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestMissingIsWhatIsNeitherStoredNorDeadLetteredNorVoid(t *testing.T) {
	w := open(t)
	const n = 40 // partitions; this test has the last five
	from, to := make(schemas.Snapshot, n), make(schemas.Snapshot, n)
	missing := func() []int64 {
		t.Helper()
		all, err := w.Missing(t.Context(), schemas.TopicContacts, from, to)
		if err != nil {
			t.Fatal(err)
		}
		return all[n-5:]
	}
	want := func(what string, wanted ...int64) {
		t.Helper()
		if got := missing(); !slices.Equal(got, wanted) {
			t.Errorf("%s: %v are missing, want %v", what, got, wanted)
		}
	}
	copy(to[n-5:], []int64{10, 10, 10, 10, 0})
	copy(from[n-5:], []int64{0, 0, 4, 4, 0})
	want("nothing is stored", 10, 10, 6, 6, 0)

	storeAt(t, w, n-5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11) // all, and what came later
	storeAt(t, w, n-5, 3, 4)                                 // a replay
	storeAt(t, w, n-4, 0, 1, 2, 5, 12)
	storeAt(t, w, n-3, 4, 5, 6, 7, 8, 9) // from where Kafka begins
	storeAt(t, w, n-2, 1, 2, 3, 4, 5, 9) // from before Kafka begins
	want("rows", 0, 6, 0, 3, 0)

	if err := w.RecordDeadLetters(t.Context(), []schemas.DeadLetter{{Topic: schemas.TopicContacts, Partition: n - 4, Offset: 3}, {Topic: schemas.TopicInteractions, Partition: n - 4, Offset: 4}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.RecordVoids(t.Context(), []schemas.Void{{Topic: schemas.TopicContacts, Partition: n - 4, First: 8, Next: 10}}); err != nil {
			t.Fatal(err)
		}
	}
	want("a dead letter, another topic's, and two voids", 0, 3, 0, 3, 0)

	whole, err := w.Whole(t.Context(), schemas.TopicContacts, from, to)
	if err != nil || !slices.Equal(whole[n-5:], schemas.Snapshot{10, 4, 10, 6, 0}) {
		t.Errorf("the account is whole up to %v, want 10, 4, 10, 6 and 0, %v", whole[n-5:], err)
	}
}

func TestRowsThatClickHouseLostAreStoredAgainByTheSameInsert(t *testing.T) {
	w := open(t)
	const partition = 60
	snapshot := make(schemas.Snapshot, partition+1)
	snapshot[partition] = 5
	for _, step := range []string{"first", "after the rows were lost"} {
		storeAt(t, w, partition, 0, 1, 2, 3, 4)
		missing, err := w.Missing(t.Context(), schemas.TopicContacts, nil, snapshot)
		if err != nil || missing[partition] != 0 {
			t.Fatalf("%s: %d rows are missing, %v", step, missing[partition], err)
		}
		lose(t, "contacts", fmt.Sprintf("source_partition = %d", partition))
	}
}

// TestMissingIsWhatAModelCounts compares partitions with and without gaps, tails, and
// heads that Kafka deleted.
func TestMissingIsWhatAModelCounts(t *testing.T) {
	w := open(t)
	partition := int32(100)
	rapid.Check(t, func(rt *rapid.T) {
		partition++ // one of its own
		first := rapid.Int64Range(0, 5).Draw(rt, "first")
		var stored []int64
		for at := first; at < first+40; at++ {
			if rapid.IntRange(0, 30).Draw(rt, "lost") > 0 {
				stored = append(stored, at)
			}
		}
		storeAt(t, w, partition, stored...)
		from, to := make(schemas.Snapshot, partition+1), make(schemas.Snapshot, partition+1)
		from[partition] = rapid.Int64Range(0, 50).Draw(rt, "from")
		to[partition] = rapid.Int64Range(0, 60).Draw(rt, "to")
		want := int64(0)
		for at := min(from[partition], stored[0]); at < to[partition]; at++ {
			if !slices.Contains(stored, at) {
				want++
			}
		}
		got, err := w.Missing(t.Context(), schemas.TopicContacts, from, to)
		if err != nil || got[partition] != want {
			rt.Errorf("%d are missing from %d to %d of %v, want %d, %v", got[partition], from[partition], to[partition], stored, want, err)
		}
	})
}
