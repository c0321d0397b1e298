package consumers

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestGroupStartsAtTheEarliestRecordWhenTheLogWasTrimmed(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	p.send(t, 0, events("a", 5)...)
	first := join(t, c, s)
	awaitCommitted(t, c, 0, 5)
	first.leave()

	p.send(t, 0, events("b", 10)...)
	if err := c.DeleteRecords(string(topic), 0, 12); err != nil {
		t.Fatal(err)
	}
	m := join(t, c, s)
	awaitCommitted(t, c, 0, 15)
	if n := m.metric(t, "cdds_consumer_trimmed_records_total"); n != 7 {
		t.Errorf("trimmed_records_total = %v, want 7", n)
	}
	for at := range p.produced {
		if at.offset >= 5 && at.offset < 12 {
			delete(p.produced, at)
		}
	}
	s.checkLaw(t, p.produced)
}

func TestGroupStartsOverWhenTheLogIsShorterThanItsOffset(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	p.send(t, 0, events("a", 4)...)
	var beyond kadm.Offsets
	beyond.AddOffset(string(topic), 0, 10, -1)
	if err := kadm.NewClient(p.client).CommitAllOffsets(t.Context(), group, beyond); err != nil {
		t.Fatal(err)
	}
	m := join(t, c, s)
	awaitCommitted(t, c, 0, 4)
	s.checkLaw(t, p.produced)
	if n := m.metric(t, "cdds_consumer_resets_total"); n == 0 {
		t.Error("going back was not counted")
	}
}

func TestGroupWaitsForATopicThatDoesNotExistYet(t *testing.T) {
	c, s := newCluster(t, 0), newTable()
	asked := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Count: -1, Observe: true})
	join(t, c, s)
	if err := asked.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	createTopic(t, c, 1)
	p := newProducer(t, c)
	p.send(t, 0, event("e"))
	awaitCommitted(t, c, 0, 1)
	s.checkLaw(t, p.produced)
}

func TestTransactionsCountWhenCommittedAndTheirMarkersArePassed(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c, kgo.TransactionalID("tests"))
	transaction := func(how kgo.TransactionEndTry, values ...string) {
		if err := p.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		p.send(t, 0, values...)
		if err := p.client.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	transaction(kgo.TryCommit, events("a", 2)...) // offsets 0, 1, marker 2
	transaction(kgo.TryAbort, events("b", 2)...)  // offsets 3, 4, marker 5
	delete(p.produced, position{0, 3})
	delete(p.produced, position{0, 4})
	join(t, c, s)
	awaitCommitted(t, c, 0, 6)
	s.checkLaw(t, p.produced)
}
