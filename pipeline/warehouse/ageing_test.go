package warehouse_test

import (
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// What aged out is only marked as deleted: the parts have it until they are merged, which
// may never happen.
func TestAnErasureForgetsWhatHadAgedOutBefore(t *testing.T) {
	w, ctx := open(t), t.Context()
	const tenant = "aged-and-erased"
	batch := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: 70, Next: 3}
	for n, row := range []struct {
		id string
		at schemas.Time
	}{{"of last year", schemas.TimeOf(from.Add(-30 * 24 * time.Hour))}, {"of this month", from}, {"kept", schemas.TimeOf(from.Add(time.Hour))}} {
		e := &schemas.Interaction{InteractionID: row.id, TenantID: tenant, MediaType: "chat", StartedAt: row.at, ContactID: "c", Text: "secret"}
		batch.Records = append(batch.Records, schemas.Record[*schemas.Interaction]{Event: e, Partition: 70, Offset: int64(n), Time: from})
	}
	erase := func(id string) warehouse.Impact {
		t.Helper()
		e := schemas.Erasure{Request: schemas.ErasureRequest{ErasureID: id, TenantID: tenant, ContactID: "c"}, Interactions: make(schemas.Snapshot, 71)}
		e.Interactions[70] = 3
		impact, err := w.Impact(ctx, e)
		check(t, err)
		check(t, w.Erase(ctx, e))
		return impact
	}
	onDisk := func() (n uint64) {
		t.Helper()
		check(t, stacktest.ClickHouse(t).QueryRow(ctx, "SELECT count() FROM interactions WHERE tenant_id = '"+tenant+"' SETTINGS apply_deleted_mask = 0, optimize_use_projections = 0").Scan(&n))
		return n
	}

	check(t, w.InsertInteractions(ctx, batch))
	n, err := w.Age(ctx, tenant, schemas.EntityInteraction, from.Add(time.Minute), from.Time)
	if err != nil || n != 2 || onDisk() != 3 {
		t.Fatalf("%d rows aged out, %d are on disk, %v", n, onDisk(), err)
	}
	if found := erase("some"); found.Versions != 3 || onDisk() != 0 {
		t.Errorf("found are %d versions, want 3; %d rows are still on disk", found.Versions, onDisk())
	}

	check(t, w.InsertInteractions(ctx, batch)) // read from Kafka again, before anybody knew
	if _, err := w.Age(ctx, tenant, schemas.EntityInteraction, until.Time, from.Time); err != nil {
		t.Fatal(err)
	}
	if found := erase("all"); found.Versions != 3 || onDisk() != 0 {
		t.Errorf("though all had aged out, found are %d versions, want 3; %d rows are still on disk", found.Versions, onDisk())
	}
}

// Old interactions can be imported at any time.
func TestWhatIsStoredWhileHistoryAgesOutIsAccountedFor(t *testing.T) {
	w, ctx := open(t), t.Context()
	const tenant, partition = "aged-at-work", 71
	stop, stored := make(chan struct{}), make(chan int64)
	go func() {
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				stored <- n
				return
			default:
			}
			e := &schemas.Interaction{InteractionID: "late", TenantID: tenant, MediaType: "chat", StartedAt: from}
			err := w.InsertInteractions(ctx, schemas.Batch[*schemas.Interaction]{
				Topic: schemas.TopicInteractions, Partition: partition, First: n, Next: n + 1,
				Records: []schemas.Record[*schemas.Interaction]{{Event: e, Partition: partition, Offset: n, Time: from}},
			})
			if err != nil {
				t.Error(err)
			}
		}
	}()
	for range 6 {
		if _, err := w.Age(ctx, tenant, schemas.EntityInteraction, until.Time, from.Time); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	next := <-stored
	missing, err := w.Missing(ctx, schemas.TopicInteractions, []schemas.Run{{Partition: partition, First: 0, Next: next}})
	if err != nil || missing != 0 {
		t.Errorf("%d of %d records are neither stored nor accounted for, %v", missing, next, err)
	}
}
