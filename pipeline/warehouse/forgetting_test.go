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
	log := func(_ context.Context, each func([]*schemas.ErasedSubject) error) error {
		for page := range slices.Chunk(erased, 300) {
			if err := each(page); err != nil {
				return err
			}
		}
		return nil
	}
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
