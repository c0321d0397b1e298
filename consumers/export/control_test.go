package export_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// endless is a source whose queries answer nothing until their context ends, and then
// go on for ever all the same.
type endless struct {
	pipeline.Source
	began, ended chan struct{}
}

func (e endless) Rows(ctx context.Context, _ warehouse.Query, _, _ schemas.RowKey) (warehouse.Lines, error) {
	close(e.began)
	<-ctx.Done()
	close(e.ended)
	return nil, ctx.Err()
}

func TestACancelEndsTheQueryThatRunsAndLeavesNothing(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	slow := endless{began: make(chan struct{}), ended: make(chan struct{})}
	w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { slow.Source = inner; return slow })
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	exported := make(chan error, 1)
	r := request("e")
	r.JobID = "nightly"
	go func() { exported <- s.handle(ctx, w, r) }()
	<-slow.began
	check(t, s.handle(ctx, w, control(schemas.ActionCancel, "e"))) // the source would block for ever
	select {
	case <-slow.ended:
	default:
		t.Error("the query still runs")
	}
	if all := s.statuses("e"); all[len(all)-1].State != schemas.Cancelled || all[len(all)-1].JobID != "nightly" {
		t.Errorf("it was reported as %+v", all[len(all)-1])
	}
	if left := s.artifacts("e"); len(left) > 0 {
		t.Errorf("there are %v", left)
	}
	check(t, <-exported)
}

// TestACancelAtAnyStepOfAnotherWorkerEndsEitherWay pauses a worker in every call it
// makes while another, which knows of it only what is in the store, cancels the export.
// So it covers both orders of cancel and complete, and the worker that comes too late.
func TestACancelAtAnyStepOfAnotherWorkerEndsEitherWay(t *testing.T) {
	records := pipelinetest.Records(600)
	counted := &pipelinetest.Faults{}
	whole := newScene(records...)
	check(t, whole.handle(t.Context(), whole.worker(counted, nil), request("e")))
	parts := len(whole.artifacts("e"))
	var completed, cancelled atomic.Int32
	var trials sync.WaitGroup
	for n := 1; n <= counted.Calls(); n++ {
		for _, moment := range []pipelinetest.Moment{pipelinetest.Before, pipelinetest.After} {
			trials.Go(func() {
				s := newScene(records...)
				paused, wake := make(chan struct{}), make(chan struct{})
				faults := &pipelinetest.Faults{Step: func(call int, m pipelinetest.Moment) error {
					if call == n && m == moment {
						close(paused)
						<-wake
					}
					return nil
				}}
				late := make(chan error, 1)
				var reading, rows, never atomic.Int32
				comesLate := s.worker(faults, func(inner pipeline.Source) pipeline.Source { return reads{inner, &reading, &rows, &never} })
				go func() { late <- s.handle(t.Context(), comesLate, request("e")) }()
				<-paused
				err := s.handle(t.Context(), s.worker(nil, nil), control(schemas.ActionCancel, "e"))
				before := reading.Load()
				close(wake)
				if err = errors.Join(err, <-late); err != nil {
					t.Errorf("paused in call %d: %v", n, err)
				}
				got, left := s.states("e"), s.artifacts("e")
				switch {
				case slices.Contains(got, schemas.Completed) && slices.Contains(got, schemas.Cancelled):
					t.Errorf("paused in call %d, after its effect %v: it is both, %v", n, moment, got)
				case slices.Contains(got, schemas.Cancelled):
					cancelled.Add(1)
					if len(left) > 0 {
						t.Errorf("paused in call %d, after its effect %v: it is cancelled and there are %v", n, moment, left)
					}
					if more := reading.Load() - before; more > 1 {
						t.Errorf("paused in call %d, after its effect %v: it is cancelled, and %d more parts were read for nothing", n, moment, more)
					}
				case slices.Contains(got, schemas.Completed):
					completed.Add(1)
					if len(left) != parts {
						t.Errorf("paused in call %d, after its effect %v: it is completed with %v", n, moment, left)
					}
				default:
					t.Errorf("paused in call %d, after its effect %v: it did not end, %v", n, moment, got)
				}
			})
		}
	}
	trials.Wait()
	if completed.Load() == 0 || cancelled.Load() == 0 {
		t.Errorf("%d were completed and %d cancelled: one order was never tried", completed.Load(), cancelled.Load())
	}
	t.Logf("%d pauses: %d completed, %d cancelled", 2*counted.Calls(), completed.Load(), cancelled.Load())
}

// reads counts queries for parts and fails one of those for rows for good.
type reads struct {
	pipeline.Source
	n, rows, failAt *atomic.Int32
}

func (r reads) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	r.n.Add(1)
	if r.rows.Add(1) == r.failAt.Load() {
		return nil, pipeline.Permanent(pipelinetest.ErrInjected)
	}
	return r.Source.Rows(ctx, q, first, last)
}

func (r reads) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	r.n.Add(1)
	return r.Source.Attached(ctx, q, first, last, each)
}

func TestARetryReadsOnlyThePartsThatAreNotStored(t *testing.T) {
	s := newScene(pipelinetest.Records(3000)...)
	var n, rows, failAt atomic.Int32
	w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { return reads{inner, &n, &rows, &failAt} })
	failAt.Store(4)
	check(t, s.handle(t.Context(), w, request("e")))
	if got := s.states("e"); got[len(got)-1] != schemas.Failed {
		t.Fatalf("the fourth part cannot be read, and it is %v", got)
	}
	before := stored(t, s)
	if len(before) != int(n.Load())-1 || rows.Load() != 4 {
		t.Fatalf("%d parts are stored before the failure, and %d were read, %d of them rows", len(before), n.Load(), rows.Load())
	}
	n.Store(0)
	failAt.Store(0)
	check(t, s.handle(t.Context(), w, control(schemas.ActionRetry, "e")))
	if got := s.states("e"); got[len(got)-1] != schemas.Completed {
		t.Fatalf("it is %v", got)
	}
	after := stored(t, s)
	if len(after) < 5 || int(n.Load()) != len(after)-len(before) {
		t.Errorf("the retry read %d parts; %d of %d were stored", n.Load(), len(before), len(after))
	}
	for key, sum := range before {
		if after[key] != sum { // sealing is random: a part written again differs
			t.Errorf("%s was written again", key)
		}
	}
}

func TestTwoRetriesOfOneAttemptBeginOne(t *testing.T) {
	for name, fails := range map[string]int32{"that fails too": 2, "that completes": 0} {
		t.Run(name, func(t *testing.T) {
			s := newScene(pipelinetest.Records(100)...)
			var n, rows, failAt atomic.Int32
			w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { return reads{inner, &n, &rows, &failAt} })
			failAt.Store(1)
			check(t, s.handle(t.Context(), w, request("e")))
			failAt.Store(fails)
			for range 2 { // two people, or two clicks
				retry := control(schemas.ActionRetry, "e")
				retry.Attempt = 1
				check(t, s.handle(t.Context(), w, retry))
			}
			e := schemas.Fold(s.statuses("e")...)
			if e.Attempt != 2 || rows.Load() != 2 || len(e.Conflicts) != 0 {
				t.Errorf("after two retries of attempt 1 it is %s in attempt %d after %d reads, refused %+v", e.State, e.Attempt, rows.Load(), e.Conflicts)
			}
			if fails == 0 {
				return
			}
			failAt.Store(0)
			again := control(schemas.ActionRetry, "e")
			again.Attempt = 2
			check(t, s.handle(t.Context(), w, again))
			if e := schemas.Fold(s.statuses("e")...); e.Attempt != 3 || e.State != schemas.Completed {
				t.Errorf("after a retry of attempt 2 it is %s in attempt %d", e.State, e.Attempt)
			}
		})
	}
}

// stored are the digests of the sealed parts in the store.
func stored(t *testing.T, s *scene) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range s.artifacts("e") {
		o, err := s.store.Stat(t.Context(), key)
		check(t, err)
		if sum := o.Metadata["sealed-sha256"]; sum != "" {
			all[key] = fmt.Sprint(sum, o.Size)
		}
	}
	return all
}
