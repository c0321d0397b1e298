package consumers

import (
	"context"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// The client says once that it refused to unpack a batch, and stops reading the partition. With
// what it has fetched it throws that word away, too: when the partition is paused, when another
// one goes on elsewhere, when its session with the brokers begins anew.

func TestABatchThatIsNotUnpackedIsPassedAtTheVeryBeginning(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	send, absurd := sender(t, c), strings.Repeat("a", 12<<20)
	send(absurd, absurd, absurd)
	send(event("after"))
	join(t, c, s)
	awaitCommitted(t, c, 0, 4)
	if len(s.letters) != 1 || s.rows[position{0, 3}] != "after" {
		t.Errorf("%d dead letters, and stored are %v", len(s.letters), s.rows)
	}
}

func TestABatchThatIsNotUnpackedIsPassedThoughItsPartitionWasPaused(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	send, absurd := sender(t, c), strings.Repeat("a", 12<<20)
	begun, release := make(chan struct{}), make(chan struct{})
	s.onHandle = func(_ context.Context, b schemas.Batch[*schemas.Interaction]) error {
		if b.First == 0 {
			close(begun)
			<-release
		}
		return nil
	}
	send(event("before"))
	join(t, c, s, func(o *Options[*schemas.Interaction]) { o.MaxBuffered = 1 })
	<-begun // the partition holds its share; until it is paused, the client goes on fetching
	send(absurd, absurd, absurd)
	send(event("after"))
	time.Sleep(2 * patience)
	close(release)
	awaitCommitted(t, c, 0, 5)
	if len(s.letters) != 1 || s.rows[position{0, 4}] != "after" {
		t.Errorf("%d dead letters, and stored are %v", len(s.letters), s.rows)
	}
}
