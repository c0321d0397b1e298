package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// awaitErasure returns the erasure once it is done.
func (w *world) awaitErasure(tenant, id string) schemas.Erasure {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		e, known, err := w.ledger.Erasure(ctx, tenant, id)
		if err == nil && known && e.Ended() {
			return e
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			w.t.Fatalf("erasure %s is not done: %+v, %v", id, e, err)
		}
	}
}

// of makes interaction n one with a contact.
func of(contact string, n int) *schemas.Interaction {
	i := interaction("acme", n)
	i.ContactID = contact
	return i
}

func TestWhatAnIngestThatWasPausedStoresAfterTheErasureIsRemovedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("ingest", "history", "erasure")
	w.publish(of("eve", 1), of("ada", 2))
	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", ContactID: "eve"})
	if e := w.awaitErasure("acme", "case-1"); e.Rows != 1 {
		t.Fatalf("one interaction was to go: %+v", e)
	}
	stop()
	// What an ingest has in hand that looked for erasures before there was this one.
	body, err := schemas.Encode(of("eve", 1))
	check(t, err)
	event, err := schemas.DecodeInteraction(body)
	check(t, err)
	partition := int32(w.count("SELECT toUInt64(source_partition) FROM erased_rows"))
	offset := int64(w.count("SELECT toUInt64(source_offset) FROM erased_rows"))
	check(t, w.warehouse.InsertInteractions(t.Context(), schemas.Batch[*schemas.Interaction]{
		Topic: schemas.TopicInteractions, Partition: partition, First: offset, Next: offset + 1,
		Records: []schemas.Record[*schemas.Interaction]{{Event: event, Partition: partition, Offset: offset, Time: schemas.TimeOf(time.Now())}},
	}))
	if n := w.count("SELECT count() FROM interactions"); n != 2 {
		t.Fatalf("%d interactions are stored, want the late one and the other's", n)
	}

	w.run("history", "erasure")
	w.awaitAudit("acme", "erasure.repeat")
	if n := w.count("SELECT count() FROM interactions"); n != 1 {
		t.Errorf("%d interactions are stored, want the other's", n)
	}
}

func TestWhatIsErasedIsGoneAndReadingKafkaAgainDoesNotBringItBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("ingest", "export", "history", "erasure")
	created := schemas.TimeOf(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC))
	for _, c := range []string{"eve", "ada"} {
		w.publish(&schemas.Contact{ContactID: c, TenantID: "acme", CreatedAt: created})
	}
	w.publish(of("", 1), of("eve", 1), of("eve", 2), of("ada", 3), of("ada", 4)) // the first version of 1 names nobody
	other := of("eve", 5)
	other.TenantID = "globex"
	w.publish(other, w.request("acme", "before"))
	if before := w.await("acme", "before"); before.Done.Rows != 4 {
		t.Fatalf("before there were %d interactions, want 4", before.Done.Rows)
	}

	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", ContactID: "eve", RequestedBy: "dpo"})
	e := w.awaitErasure("acme", "case-1")
	if e.Rows != 4 || len(e.Exports) != 1 || e.Exports[0].ExportID != "before" || e.Exports[0].Deleted {
		t.Errorf("three versions and a contact were to go and one export to be named: %+v", e)
	}
	w.publish(of("eve", 6)) // she calls again: a new fact
	check := func(id string) {
		t.Helper()
		w.publish(w.request("acme", id), w.request("globex", id))
		lines := strings.Join(w.open(w.await("acme", id)), "\n")
		for n, want := range map[int]bool{1: false, 2: false, 3: true, 4: true, 6: true} {
			if got := strings.Contains(lines, fmt.Sprintf("i-%06d", n)); got != want {
				t.Errorf("%s: interaction %d is there: %t", id, n, got)
			}
		}
		if x := w.await("globex", id); x.Done.Rows != 1 {
			t.Errorf("%s: the other tenant's contact of the same id has %d interactions, want 1", id, x.Done.Rows)
		}
		if n := w.count("SELECT count() FROM interactions WHERE tenant_id = 'acme' AND interaction_id IN ('i-000001', 'i-000002')"); n != 0 {
			t.Errorf("%s: %d rows of hers are stored", id, n)
		}
		if n := w.count("SELECT count() FROM contacts FINAL"); n != 1 {
			t.Errorf("%s: %d contacts are stored, want 1", id, n)
		}
		for _, topic := range schemas.SourceTopics() {
			for _, p := range w.account(topic) {
				if p.Missing != 0 {
					t.Errorf("%s: %s partition %d misses %d records", id, topic, p.Partition, p.Missing)
				}
			}
		}
	}
	check("after")

	stop()
	for _, topic := range schemas.SourceTopics() {
		if _, err := w.admin.DeleteGroup(t.Context(), schemas.IngestGroup(topic)); err != nil {
			t.Fatal(err)
		}
	}
	w.run("ingest", "export", "history", "erasure") // everything from offset 0
	check("replayed")
	w.awaitAudit("acme", "erasure.create", "erasure.complete")
}
