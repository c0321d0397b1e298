package consumers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMemberThatWasExpelledReturnsAndNothingIsLost(t *testing.T) {
	c, s := newCluster(t, 2), newTable()
	p := newProducer(t, c)
	p.send(t, 0, events("a", 5)...)
	m := join(t, c, s)
	awaitCommitted(t, c, 0, 5)

	expelled := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, TopLevel: true})
	if err := expelled.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	p.send(t, 0, events("b", 5)...)
	p.send(t, 1, events("c", 5)...)
	awaitCommitted(t, c, 0, 10)
	awaitCommitted(t, c, 1, 5)
	s.checkLaw(t, p.produced)
	if err := m.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func TestThreeMembersHandPartitionsOverAndLoseNothing(t *testing.T) {
	const partitions = 6
	c, s := newCluster(t, partitions), newTable()
	p := newProducer(t, c)
	sent := 0
	publish := func() {
		for i := range int32(partitions) {
			p.send(t, i, append(events(fmt.Sprintf("%d-%d", sent, i), 20), "{")...)
		}
		sent += 21
	}
	var members []*member
	for range 3 {
		publish()
		members = append(members, join(t, c, s, one)) // one: most are still to do at the next change
		publish()
		if _, err := c.WaitGroupStable(t.Context(), group, len(members)); err != nil {
			t.Fatal(err)
		}
	}
	members[0].leave()
	publish()
	for i := range int32(partitions) {
		awaitCommitted(t, c, i, int64(sent))
	}
	s.checkLaw(t, p.produced)
}

func TestPartitionMovesOnlyAfterItsHandlerHasEnded(t *testing.T) {
	c, s := newCluster(t, 2), newTable()
	p := newProducer(t, c)
	p.send(t, 0, events("a", 3)...)
	p.send(t, 1, events("b", 3)...)
	begun := make(chan int32, 2)
	s.onHandle = func(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error {
		if b.First != 1 {
			return nil
		}
		begun <- b.Partition
		<-ctx.Done()
		return nil // finished although it was cancelled: the batch counts
	}
	join(t, c, s, one, func(o *Options[*schemas.Interaction]) { o.Drain = time.Millisecond })
	<-begun
	<-begun
	s.await(t, "the first batches are stored", func() bool { return len(s.rows) == 2 })

	second := newTable()
	second.onHandle = func(_ context.Context, b schemas.Batch[*schemas.Interaction]) error {
		if b.First != 2 {
			t.Errorf("the second member begins at offset %d, want 2: the first had finished 0 and 1", b.First)
		}
		return nil
	}
	join(t, c, second, one)
	second.await(t, "the second member has handled the rest of its partition", func() bool { return len(second.rows) == 1 })
}
