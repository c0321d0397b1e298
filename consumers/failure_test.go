package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errDown = errors.New("the database is down")

func one(o *Options[*schemas.Interaction]) { o.MaxRecords = 1 }

func TestRefusedCommitIsRepeated(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: 2})
	p.send(t, 0, events("e", 5)...)
	m := join(t, c, s)
	awaitCommitted(t, c, 0, 5)
	if refused.Hits() != 2 {
		t.Errorf("%d commits were refused, want 2", refused.Hits())
	}
	s.checkLaw(t, p.produced)
	if n := m.metric(t, "cdds_consumer_commit_failures_total"); n != 2 {
		t.Errorf("commit_failures_total = %v, want 2", n)
	}
}

func TestBatchComesAgainWhenItsCommitNeverArrived(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	refused := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1})
	p.send(t, 0, append(events("e", 5), "{")...)
	first := join(t, c, s)
	s.awaitStored(t, 6)
	first.leave()
	if at := committed(c, 0); at != 0 {
		t.Fatalf("committed %d although every commit was refused", at)
	}
	refused.Remove()
	handled := len(s.batches)

	join(t, c, s)
	awaitCommitted(t, c, 0, 6)
	if len(s.batches) == handled {
		t.Error("the batch did not come again")
	}
	s.checkLaw(t, p.produced)
}

func TestFailingHandlerGetsTheSameBatchUntilItWorks(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	var attempts []int64
	s.onHandle = func(_ context.Context, b schemas.Batch[*schemas.Interaction]) error {
		if attempts = append(attempts, b.First); len(attempts) <= 3 {
			return errDown
		}
		return nil
	}
	p.send(t, 0, events("e", 2)...)
	m := join(t, c, s, one)
	awaitCommitted(t, c, 0, 2)
	s.checkLaw(t, p.produced)
	if got, want := fmt.Sprint(attempts), "[0 0 0 0 1]"; got != want {
		t.Errorf("attempts at offsets %s, want %s", got, want)
	}
	if n := m.metric(t, "cdds_consumer_retries_total"); n != 3 {
		t.Errorf("retries_total = %v, want 3", n)
	}
}

func TestNothingIsHandledBeforeTheDeadLettersBeforeItAreKept(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	refusals := 0
	s.onPut = func([]schemas.DeadLetter) error {
		if refusals < 2 {
			refusals++
			return errDown
		}
		return nil
	}
	s.onHandle = func(context.Context, schemas.Batch[*schemas.Interaction]) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.letters) != 1 {
			t.Errorf("Handle came with %d dead letters kept, want 1", len(s.letters))
		}
		return nil
	}
	p.send(t, 0, event("good"), "{", event("also good"))
	join(t, c, s)
	awaitCommitted(t, c, 0, 3)
	s.checkLaw(t, p.produced)
	if refusals != 2 {
		t.Errorf("%d refusals, want 2", refusals)
	}
}

func TestGroupIsNotReadyWhileItIsStuck(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	var down atomic.Bool
	down.Store(true)
	failed := make(chan struct{}, 100)
	s.onHandle = func(context.Context, schemas.Batch[*schemas.Interaction]) error {
		if down.Load() {
			failed <- struct{}{}
			return errDown
		}
		return nil
	}
	p.send(t, 0, event("e"))
	m := join(t, c, s)
	<-failed
	<-failed // the first failure is noted before the second attempt
	part := m.partition(0)
	if err := part.stuck(time.Now()); err != nil {
		t.Errorf("stuck at once: %v", err)
	}
	if err := part.stuck(time.Now().Add(time.Minute)); !errors.Is(err, errDown) {
		t.Errorf("after a minute: %v, want %v", err, errDown)
	}
	if part.behindSince().IsZero() {
		t.Error("it is not behind although nothing is handled")
	}
	down.Store(false)
	awaitCommitted(t, c, 0, 1)
	if at := part.behindSince(); !at.IsZero() {
		t.Errorf("it is behind since %s although all is handled", at)
	}
	if err := part.stuck(time.Now().Add(time.Minute)); err != nil {
		t.Errorf("after it works again: %v", err)
	}
}

func TestCancelLetsTheHandlerFinishAndCommitsItsBatch(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	begun, finish := make(chan struct{}), make(chan struct{})
	s.onHandle = func(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error {
		if b.First > 0 {
			t.Error("a batch began after the cancel")
		}
		close(begun)
		<-finish
		return ctx.Err()
	}
	p.send(t, 0, events("e", 3)...)
	m := join(t, c, s, one)
	<-begun
	m.cancel()
	<-m.stopping
	close(finish)
	<-m.ended
	if at := committed(c, 0); at != 1 || len(s.rows) != 1 {
		t.Errorf("committed %d with %d rows, want the one batch at work", at, len(s.rows))
	}
}

func TestDrainDeadlineCancelsTheHandlerAndCommitsNothingOfIt(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	begun := make(chan struct{})
	s.onHandle = func(ctx context.Context, _ schemas.Batch[*schemas.Interaction]) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}
	p.send(t, 0, events("e", 3)...)
	m := join(t, c, s, one, func(o *Options[*schemas.Interaction]) { o.Drain = 10 * time.Millisecond })
	<-begun
	m.leave()
	if at := committed(c, 0); at != 0 {
		t.Errorf("committed %d, want nothing", at)
	}
}

func TestCancelDoesNotWaitForABatchInItsBackoff(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	failed := make(chan struct{}, 100)
	s.onHandle = func(context.Context, schemas.Batch[*schemas.Interaction]) error {
		failed <- struct{}{}
		return errDown
	}
	p.send(t, 0, event("e"))
	m := join(t, c, s, func(o *Options[*schemas.Interaction]) { o.Drain = time.Hour })
	<-failed
	m.leave() // would outlast the test
}

func TestBatchesInFlightCommitOnlyWhatIsDoneWithoutAGap(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	began, release := make(chan struct{}), make(chan struct{})
	s.onHandle = func(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error {
		wait := release
		switch {
		case b.First == 1:
			close(began)
		case b.First > 1:
			wait = began
		default:
			return nil
		}
		select {
		case <-wait:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.send(t, 0, events("e", 6)...)
	join(t, c, s, one, func(o *Options[*schemas.Interaction]) { o.InFlight = 4 })
	s.await(t, "all but one batch are done", func() bool { return len(s.rows) == 5 })
	awaitCommitted(t, c, 0, 1) // 0 is done; 1 is not, so 2 to 5 do not count
	close(release)
	awaitCommitted(t, c, 0, 6)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rows) != 6 || s.maxBusy < 2 {
		t.Errorf("%d rows by up to %d handlers at once, want 6 by several", len(s.rows), s.maxBusy)
	}
}

func TestStuckPartitionHoldsItsShareAndOthersGoOn(t *testing.T) {
	c, s := newCluster(t, 2), newTable()
	p := newProducer(t, c, kgo.ProducerBatchCompression(kgo.NoCompression()))
	release := make(chan struct{})
	s.onHandle = func(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error {
		if b.Partition == 0 {
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	const n, share = 60, 512 << 10
	large := strings.Replace(event("%d"), `"tenant_id"`, `"notes":"`+strings.Repeat("x", 64<<10)+`","tenant_id"`, 1)
	for i := range n {
		p.send(t, 0, strings.Replace(large, "%d", fmt.Sprintf("a-%d", i), 1))
		p.send(t, 1, strings.Replace(large, "%d", fmt.Sprintf("b-%d", i), 1))
	}
	m := join(t, c, s, func(o *Options[*schemas.Interaction]) { o.MaxBuffered = 2 * share })
	awaitCommitted(t, c, 1, n)

	part := m.partition(0)
	part.mu.Lock()
	held, paused := part.held, part.paused
	part.mu.Unlock()
	if !paused || held > share+fetchMaxPartitionBytes+128<<10 {
		t.Errorf("the stuck partition holds %d bytes (paused: %v), want about its share of %d and one fetch", held, paused, share)
	}
	close(release)
	awaitCommitted(t, c, 0, n)
	s.checkLaw(t, p.produced)
}
