package warehouse_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// TestWhatWasErasedIsDroppedThoughClickHouseForgetsIt has ingest store contacts of which
// every third was erased below a snapshot, and ClickHouse lose who was erased.
func TestWhatWasErasedIsDroppedThoughClickHouseForgetsIt(t *testing.T) {
	w := open(t)
	const tenant, partition, contacts, below = "forgetful", 80, 3000, 2000
	snapshot := make(schemas.Snapshot, partition+1)
	snapshot[partition] = below
	var erased []*schemas.ErasedSubject
	// Of 128 KiB of such ids ClickHouse takes none in one parameter.
	id := func(n int64) string { return fmt.Sprintf("c-%04d", n) + strings.Repeat("'", 200) }
	for n := int64(0); n < contacts; n += 3 {
		erased = append(erased, &schemas.ErasedSubject{
			Request: schemas.ErasureRequest{TenantID: tenant, ErasureID: fmt.Sprint("e", n%5), ContactID: id(n)},
			Kind:    "contact", SubjectID: id(n), Contacts: snapshot, Interactions: schemas.Snapshot{}, ErasedAt: from,
		})
	}
	log := &erasedLog{erased: erased}
	f := warehouse.NewForgetting(w, log, history(t), slog.New(slog.DiscardHandler))
	if f.Ready() == nil {
		t.Error("it is ready before it knows who was erased")
	}
	b := schemas.Batch[*schemas.Contact]{Topic: schemas.TopicContacts, Partition: partition, Next: contacts}
	for n := range int64(contacts) {
		b.Records = append(b.Records, schemas.Record[*schemas.Contact]{Partition: partition, Offset: n, Event: &schemas.Contact{
			ContactID: id(n), TenantID: tenant, CreatedAt: from,
		}})
	}
	want := warehouse.PartitionAccount{Partition: partition, Used: contacts, Erased: (below + 2) / 3, Stored: contacts - (below+2)/3}
	for _, step := range []string{"at first", "after ClickHouse lost who was erased"} {
		check(t, f.InsertContacts(t.Context(), b))
		if got := account(t, w, run(partition, 0, contacts)); got != want {
			t.Errorf("%s the account is %+v, want %+v", step, got, want)
		}
		lose(t, "erased_subjects", "tenant_id = '"+tenant+"'")
		lose(t, "erasures", "tenant_id = '"+tenant+"'")
		lose(t, "contacts", fmt.Sprintf("source_partition = %d", partition))
	}
	if f.Ready() != nil {
		t.Error("it is not ready")
	}
}

// TestAnErasureThatClickHouseLostBeforeIngestLookedIsKnownFromTheLog has somebody erased while
// ingest stores nothing, and ClickHouse lost then: nothing in it says that there was anything.
func TestAnErasureThatClickHouseLostBeforeIngestLookedIsKnownFromTheLog(t *testing.T) {
	w := open(t)
	const tenant, partition = "unseen", 81
	log := &erasedLog{}
	f := warehouse.NewForgetting(w, log, history(t), slog.New(slog.DiscardHandler))
	check(t, f.Remember(t.Context()))
	snapshot := make(schemas.Snapshot, partition+1)
	snapshot[partition] = 1
	log.erased = append(log.erased, &schemas.ErasedSubject{
		Request: schemas.ErasureRequest{TenantID: tenant, ErasureID: "e", ContactID: "c"},
		Kind:    "contact", SubjectID: "c", Contacts: snapshot, Interactions: schemas.Snapshot{}, ErasedAt: from,
	})
	b := schemas.Batch[*schemas.Contact]{Topic: schemas.TopicContacts, Partition: partition, Next: 1, Records: []schemas.Record[*schemas.Contact]{
		{Partition: partition, Event: &schemas.Contact{ContactID: "c", TenantID: tenant, CreatedAt: from}},
	}}
	want := warehouse.PartitionAccount{Partition: partition, Used: 1, Erased: 1}
	check(t, f.InsertContacts(t.Context(), b))
	if got := account(t, w, run(partition, 0, 1)); got != want {
		t.Errorf("the account is %+v, want %+v", got, want)
	}
}

// erasedLog is a log of who was erased, which may grow.
type erasedLog struct {
	erased []*schemas.ErasedSubject
	next   int
}

func (l *erasedLog) Rewind() { l.next = 0 }

func (l *erasedLog) Read(_ context.Context, each func([]*schemas.ErasedSubject) error) error {
	for page := range slices.Chunk(l.erased[l.next:], 300) {
		if err := each(page); err != nil {
			return err
		}
		l.next += len(page)
	}
	return nil
}
