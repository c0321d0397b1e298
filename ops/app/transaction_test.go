package app_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/connect"
	"cdds/schemas"
)

// TestAnOpenTransactionHoldsUpNoExport leaves a transaction open, as a producer does that
// stands still: what was acknowledged before it is exported, and what it holds counts
// once it is committed.
func TestAnOpenTransactionHoldsUpNoExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Export.IngestWait = 20 * time.Second
	w.run("ingest", "export", "history")
	w.load("acme", 0, 50)

	opts, err := connect.Kafka(w.config.Kafka, "transaction", nil)
	check(t, err)
	bank, err := kgo.NewClient(append(opts, kgo.TransactionalID("bank"), kgo.TransactionTimeout(2*time.Minute))...)
	check(t, err)
	defer bank.Close()
	check(t, bank.BeginTransaction())
	open := interaction("acme", 50)
	body, err := schemas.Encode(open)
	check(t, err)
	check(t, bank.ProduceSync(t.Context(), &kgo.Record{Topic: string(schemas.TopicInteractions), Key: []byte(open.InteractionID), Value: body}).FirstErr())

	w.publish(w.request("acme", "during"))
	if e := w.await("acme", "during"); e.State != schemas.Completed || e.Done.Rows != 50 {
		t.Errorf("while the transaction is open the export is %s with %d rows, want 50: %+v", e.State, e.Done.Rows, e.Failure)
	}
	check(t, bank.EndTransaction(t.Context(), kgo.TryCommit))
	w.publish(w.request("acme", "after"))
	if e := w.await("acme", "after"); e.State != schemas.Completed || e.Done.Rows != 51 {
		t.Errorf("after its commit the export is %s with %d rows, want 51: %+v", e.State, e.Done.Rows, e.Failure)
	}
}
