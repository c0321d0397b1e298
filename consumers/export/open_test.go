package export_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cdds/consumers/export"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

func TestMessagesAboutOneExportAreTakenInTheirOrder(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	b := s.published(request("e"))
	b.Records = append(b.Records, s.published(control(schemas.ActionCancel, "e")).Records...)
	check(t, w.Handle(t.Context(), b))
	check(t, w.Work(t.Context()))
	if got := s.states("e"); !slices.Equal(got, []schemas.State{schemas.Requested, schemas.Cancelled}) {
		t.Errorf("requested and cancelled in one batch, it is %v", got)
	}
}

func TestTheNextOwnerCarriesOutWhatIsOpen(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	check(t, s.worker(nil, nil).Handle(t.Context(), s.published(request("e")))) // and dies
	open, err := s.open()
	if err != nil || !slices.Equal(open, []string{"e"}) {
		t.Fatalf("accepted, and open is %v, %v", open, err)
	}
	check(t, s.worker(nil, nil).Work(t.Context()))
	if e := schemas.Fold(s.statuses("e")...); e.State != schemas.Completed || e.Done.Rows != 100 {
		t.Errorf("the next owner makes it %s with %d rows", e.State, e.Done.Rows)
	}
	if open, err = s.open(); err != nil || len(open) > 0 {
		t.Errorf("completed, and open is %v, %v", open, err)
	}
}

func TestWhatCameThroughAPartitionThatIsGoneIsCarriedOutAllTheSame(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	b := s.published(request("e"))
	b.Records[0].Partition = 5 // of a topic that was made again with one
	w := s.worker(nil, nil)
	check(t, w.Handle(t.Context(), b))
	check(t, w.Work(t.Context()))
	if e := schemas.Fold(s.statuses("e")...); e.State != schemas.Completed {
		t.Errorf("it is %s", e.State)
	}
}

func TestAControlOfAnotherPartitionIsForwardedToTheOneOfItsExport(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	check(t, w.Handle(t.Context(), s.published(request("e"))))
	b := s.published(control(schemas.ActionCancel, "e"))
	b.Records[0].Partition = 3
	check(t, w.Handle(t.Context(), b))
	if len(s.forwarded) != 1 || s.forwarded[0].to != 0 || s.forwarded[0].r.Action != schemas.ActionCancel {
		t.Errorf("forwarded is %+v", s.forwarded)
	}
	if got := s.states("e"); !slices.Equal(got, []schemas.State{schemas.Requested}) {
		t.Errorf("it is %v before the control comes", got)
	}
}

func TestARequestOlderThanWhatIsRememberedIsRefusedAsTooOld(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	for id, age := range map[string]time.Duration{"ghost": 401 * 24 * time.Hour, "old": 399 * 24 * time.Hour} {
		b := s.published(request(id))
		b.Records[0].Time = schemas.TimeOf(time.Now().Add(-age))
		check(t, w.Handle(t.Context(), b))
	}
	check(t, w.Work(t.Context()))
	e := schemas.Fold(s.statuses("ghost")...)
	if e.State != schemas.Refused || !strings.Contains(e.Reason, "too old") || len(s.artifacts("ghost")) > 0 {
		t.Errorf("a request whose decision may be forgotten is %s: %s", e.State, e.Reason)
	}
	if e = schemas.Fold(s.statuses("old")...); e.State != schemas.Completed {
		t.Errorf("one whose decision is kept is %s: %s", e.State, e.Reason)
	}
}

// late is a source log whose ingest stands still until it goes on.
type late struct {
	pipelinetest.Log
	goesOn *atomic.Bool
	asked  *atomic.Int64
}

func (l late) Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	l.asked.Add(1)
	if !l.goesOn.Load() {
		return schemas.Snapshot{0, 0}, nil
	}
	return l.Log.Ingested(ctx, topic)
}

func TestAPartitionThatGoesAwayAndComesBackHasItsExportsCarriedOut(t *testing.T) {
	began := time.Now().Round(0)
	pair()
	synctest.Test(t, func(t *testing.T) {
		s, ahead := newScene(pipelinetest.Records(10)...), began.Sub(time.Now().Round(0))
		s.now = func() time.Time { return time.Now().Add(ahead) }
		var goesOn atomic.Bool
		w := s.worker(nil, nil)
		w.Log = late{pipelinetest.Log{End: s.ends}, &goesOn, new(atomic.Int64)}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = w.Run(ctx) })
		first, lose := context.WithCancel(ctx)
		running.Go(func() { w.Own(first, 0) })
		synctest.Wait()
		check(t, w.Handle(ctx, s.published(request("e"))))
		time.Sleep(time.Second) // of the bubble's time: it waits for ingest
		lose()
		synctest.Wait()
		running.Go(func() { w.Own(ctx, 0) })
		synctest.Wait()
		goesOn.Store(true)
		time.Sleep(time.Minute)
		stop()
		running.Wait()
		open, err := s.open()
		if e := schemas.Fold(s.statuses("e")...); e.State != schemas.Completed || len(open) > 0 || err != nil {
			t.Errorf("it is %s, and open is %v, %v", e.State, open, err)
		}
	})
}

// TestThousandsThatWaitDelayNoControlAndNoOtherTenant has a thousand exports of fifty
// tenants wait for ingest in one partition. BenchmarkWaiting does it with ten thousand.
func TestThousandsThatWaitDelayNoControlAndNoOtherTenant(t *testing.T) {
	began := time.Now().Round(0)
	pair()
	synctest.Test(t, func(t *testing.T) { thousandsWait(t, 1000, began.Sub(time.Now().Round(0))) })
}

// BenchmarkWaiting is the same with ten thousand.
func BenchmarkWaiting(b *testing.B) {
	for b.Loop() {
		thousandsWait(b, 10_000, 0)
	}
}

func thousandsWait(t testing.TB, exports int, ahead time.Duration) {
	s := newScene(pipelinetest.Records(10)...)
	s.now = func() time.Time { return time.Now().Add(ahead) }
	of := func(tenant, id string) *schemas.ExportRequest {
		r := request(id)
		r.TenantID = tenant
		return r
	}
	var goesOn atomic.Bool
	var asked atomic.Int64
	start := func() (*export.Worker, func()) {
		w := s.worker(nil, nil)
		w.Log, w.IngestWait = late{pipelinetest.Log{End: s.ends}, &goesOn, &asked}, time.Hour
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Own(ctx, 0) })
		running.Go(func() { _ = w.Run(ctx) })
		return w, func() { stop(); running.Wait() }
	}
	w, stop := start()
	each := func(of func(schemas.State)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, told := range s.told {
			of(told.State)
		}
	}
	// ended waits until n exports are in a state.
	ended := func(n int, state schemas.State) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Minute); ; {
			found := 0
			each(func(at schemas.State) {
				if at == state {
					found++
				}
			})
			if found >= n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d are %s", found, n, state)
			}
			time.Sleep(time.Millisecond) // of the bubble's time
		}
	}
	// rate is how often it is asked in ten seconds how far ingest is.
	rate := func() int64 {
		time.Sleep(10 * time.Second)
		before := asked.Load()
		time.Sleep(10 * time.Second)
		return asked.Load() - before
	}
	check(t, w.Handle(t.Context(), s.published(of("tenant-0", "first"))))
	ofOne := rate()
	var b schemas.Batch[*schemas.ExportRequest]
	for n := range exports {
		b.Records = append(b.Records, s.published(of(fmt.Sprint("tenant-", n%50), fmt.Sprint("e", n))).Records...)
	}
	check(t, w.Handle(t.Context(), b))
	if ofMany := rate(); ofMany > ofOne+2 {
		t.Errorf("Kafka is asked %d times in ten seconds while %d exports wait, %d times while one does", ofMany, exports, ofOne)
	}

	last := fmt.Sprint("e", exports-1)
	cancelled := control(schemas.ActionCancel, last)
	cancelled.TenantID = fmt.Sprint("tenant-", (exports-1)%50)
	at := time.Now()
	check(t, w.Handle(t.Context(), s.published(cancelled)))
	ended(1, schemas.Cancelled)
	if took := time.Since(at); took > time.Second {
		t.Errorf("the cancel of the last one acts after %s", took)
	}
	small := of("another", "small") // whose snapshot ingest is past
	small.Snapshot = schemas.Snapshot{0, 0}
	at = time.Now()
	check(t, w.Handle(t.Context(), s.published(small)))
	ended(1, schemas.Completed)
	if took := time.Since(at); took > 2*time.Second {
		t.Errorf("the small export of another tenant is completed after %s", took)
	}

	goesOn.Store(true)
	ended(exports/2, schemas.Completed)
	stop() // a restart in the middle
	_, stop = start()
	decisions := pipeline.Decisions{Store: s.store, Now: s.now}
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if shards, err := decisions.Shards(t.Context()); err != nil || len(shards) == 0 {
			check(t, err)
			break
		}
	}
	stop()
	completed, twice := map[string]int{}, 0
	s.mu.Lock()
	for _, told := range s.told {
		if told.State == schemas.Completed {
			if completed[told.ExportID]++; completed[told.ExportID] > 1 {
				twice++
			}
		}
	}
	s.mu.Unlock()
	if twice > 100 { // what was in hand at the restart may be reported by both
		t.Errorf("%d exports are reported as completed twice", twice)
	}
	if len(completed) != exports+1 || completed[last] > 0 {
		t.Errorf("%d exports are completed, want %d; the cancelled one %d times", len(completed), exports+1, completed[last])
	}
	if left, err := decisions.Opened(t.Context(), 0); err != nil || len(left) > 0 {
		t.Errorf("%d exports are open still, %v", len(left), err)
	}
}

// nobody is a ClickHouse that holds nothing of any tenant.
type nobody struct{}

func (nobody) HasTenant(context.Context, string) (bool, error) { return false, nil }

func TestAnExportOfNothingThatWasPlannedIsCompletedAlthoughClickHouseLostItsTenant(t *testing.T) {
	s := newScene()
	w := s.worker(nil, nil)
	w.Tenants = nobody{}
	r := request("planned")
	check(t, w.Handle(t.Context(), s.published(r)))
	// A worker plans it, and is killed.
	_, err := w.Exporter.Plan(t.Context(), pipeline.Export{ID: r.ExportID, Filter: r.Filter(), Snapshot: s.ends(), SplitSize: r.Split()})
	check(t, err)
	check(t, w.Work(t.Context()))
	if e := schemas.Fold(s.statuses("planned")...); e.State != schemas.Completed {
		t.Errorf("it is %s: %s", e.State, e.Reason)
	}
	check(t, s.handle(t.Context(), w, request("never-planned")))
	if e := schemas.Fold(s.statuses("never-planned")...); e.State != schemas.Refused {
		t.Errorf("the other one is %s", e.State)
	}
}

// absentOnce is a ClickHouse that holds nothing when it is first asked, and is restored then.
type absentOnce struct{ asked *atomic.Int32 }

func (a absentOnce) HasTenant(context.Context, string) (bool, error) { return a.asked.Add(1) > 1, nil }

func TestATenantThatClickHouseDidNotKnowForAMomentIsNotRefused(t *testing.T) {
	s := newScene()
	w := s.worker(nil, nil)
	w.Tenants = absentOnce{new(atomic.Int32)}
	check(t, s.handle(t.Context(), w, request("lucky")))
	if e := schemas.Fold(s.statuses("lucky")...); e.State != schemas.Completed {
		t.Errorf("it is %s: %s", e.State, e.Reason)
	}
}
