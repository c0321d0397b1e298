package consumers

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// trial has a group read 24 records, three of them malformed, in batches of at most
// five, and returns how often something was stored and committed. Whatever fails on the
// way, what is stored and dead-lettered is what was produced.
func trial(t *testing.T, commits *kfake.Fault, inserts func(call int, m pipelinetest.Moment) error) (stores, committed int) {
	t.Helper()
	c, s := newCluster(t, 1), newTable()
	s.inserts.Step = inserts
	p := newProducer(t, c)
	for n := range 3 {
		p.send(t, 0, append(events(fmt.Sprint(n), 7), "{")...)
	}
	if commits != nil {
		c.Fault(*commits)
	}
	counted := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1})
	m := join(t, c, s, func(o *Options[*schemas.Interaction]) { o.MaxRecords = 5 })
	awaitCommitted(t, c, 0, 24)
	m.leave()
	s.checkLaw(t, p.produced)
	handled := len(s.letters)
	for _, b := range s.batches {
		handled += len(b.Records)
	}
	if duplicates := handled - 24; duplicates < 0 {
		t.Errorf("%d were handled of 24", handled)
	}
	return s.inserts.Calls(), counted.Hits()
}

func TestTheAccountIsExactWhicheverInsertOrCommitFails(t *testing.T) {
	stores, commits := trial(t, nil, nil)
	if stores < 5 || commits < 1 {
		t.Fatalf("%d inserts and %d commits to fail", stores, commits)
	}
	var trials sync.WaitGroup
	defer trials.Wait()
	for n := 1; n <= stores; n++ {
		for _, moment := range []pipelinetest.Moment{pipelinetest.Before, pipelinetest.After} {
			trials.Go(func() {
				again, _ := trial(t, nil, pipelinetest.FailAt(n, moment).Step)
				if again <= stores && moment == pipelinetest.Before {
					t.Errorf("insert %d failed, and there were %d inserts, undisturbed %d", n, again, stores)
				}
			})
		}
	}
	for n := range 3 {
		// The broker answers the second one although it has committed.
		for _, err := range []*kerr.Error{kerr.UnknownServerError, kerr.RequestTimedOut} {
			var seen atomic.Int32
			trials.Go(func() {
				trial(t, &kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: err, When: func(kmsg.Request) bool { return int(seen.Add(1)) == n+1 }}, nil)
			})
		}
	}
}

func TestAFullDiskIsWaitedForAndNothingIsLostOrTwice(t *testing.T) {
	const full = 4 // attempts until there is space again
	stores, _ := trial(t, nil, nil)
	again, _ := trial(t, nil, func(call int, m pipelinetest.Moment) error {
		if m == pipelinetest.Before && call >= 3 && call < 3+full {
			return fmt.Errorf("insert: %w", syscall.ENOSPC)
		}
		return nil
	})
	if again < stores {
		t.Errorf("%d inserts with a full disk, %d without", again, stores)
	}
}
