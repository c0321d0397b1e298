package warehouse_test

import (
	"fmt"
	"testing"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func TestTheAccountOfAPartitionTellsGapsOverlapsAndReplaysApart(t *testing.T) {
	w := open(t)
	const partition = 900 // of this test alone
	store := func(id string, month time.Month, offsets ...int64) {
		b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: partition, First: offsets[0], Next: offsets[len(offsets)-1] + 1}
		for _, offset := range offsets {
			b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Partition: partition, Offset: offset, Event: &schemas.Interaction{
				InteractionID: fmt.Sprint(id, offset), TenantID: "account", MediaType: "chat",
				StartedAt: schemas.TimeOf(time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)),
			}})
		}
		if err := w.InsertInteractions(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	account := func() warehouse.Positions {
		all, err := w.Positions(t.Context(), schemas.TopicInteractions)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if p.Partition == partition {
				return p
			}
		}
		t.Fatal("the partition has no account")
		return warehouse.Positions{}
	}
	letter := func(offset int64) {
		if err := w.RecordDeadLetters(t.Context(), []schemas.DeadLetter{{Topic: schemas.TopicInteractions, Partition: partition, Offset: offset, Code: schemas.CodeJSON}}); err != nil {
			t.Fatal(err)
		}
	}

	store("a", time.May, 10, 11, 12, 16)
	store("a", time.May, 11, 12) // a replay, cut differently
	letter(13)
	letter(13)
	if p := account(); p.First != 10 || p.Last != 16 || p.Stored != 4 || p.DeadLetters != 1 || p.Missing() != 2 || p.Overlaps != 0 {
		t.Errorf("two are missing and nothing overlaps; the account says %d missing, %+v", p.Missing(), p)
	}
	store("a", time.May, 14, 15)
	store("another", time.June, 12) // the offset was given to another record
	letter(10)
	if p := account(); p.Missing() != 0 || p.Overlaps != 2 {
		t.Errorf("nothing is missing and two overlap; the account says %d missing, %+v", p.Missing(), p)
	}
}
