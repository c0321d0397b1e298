package consumers

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

func TestPositionsOfTransactionsWithoutRecordsAreAccountedFor(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("bank"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(string(topic)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	transaction := func(n int, end kgo.TransactionEndTry) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range events("t", n) {
			if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte(v)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	transaction(3, kgo.TryAbort)  // 0 to 2, and its mark at 3
	transaction(2, kgo.TryCommit) // 4 and 5, and its mark at 6
	transaction(2, kgo.TryAbort)  // 7 and 8, and its mark at 9
	m := join(t, c, s)
	awaitCommitted(t, c, 0, 10)
	m.leave()

	held := make([]bool, 10)
	for at := range s.rows {
		held[at.offset] = true
	}
	if len(s.rows) != 2 || !held[4] || !held[5] {
		t.Errorf("stored are %v, want the two that were committed", s.rows)
	}
	for _, v := range s.voids {
		for at := v.First; at < v.Next; at++ {
			if held[at] || v.Topic != schemas.TopicInteractions {
				t.Errorf("%d is a record and void, or void twice: %+v", at, v)
			}
			held[at] = true
		}
	}
	if slices.Contains(held, false) {
		t.Errorf("not every position is a record or void: %v, voids %+v", held, s.voids)
	}
}
