package export_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cdds/consumers/export"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// sealed is how many bytes the exports of today have; below 0 history is away.
type sealed int64

func (n *sealed) SealedSince(_ context.Context, _ string, since time.Time) (int64, error) {
	if since.Hour() != 0 || time.Since(since) > 24*time.Hour {
		return 0, fmt.Errorf("since %s is not today", since)
	}
	if *n < 0 {
		return 0, errAway
	}
	return int64(*n), nil
}

var errAway = errors.New("ClickHouse is away")

// bounded is a worker on the scene that knows a quota.
func (s *scene) bounded(q pipeline.Quota, today *sealed) *export.Worker {
	w := s.worker(nil, nil)
	w.Quotas = &pipeline.Quotas{Of: func(string) pipeline.Quota { return q }, Store: s.store, History: today, Now: s.now}
	return w
}

// last is what was reported last of an export.
func (s *scene) last(id string) schemas.ExportStatus {
	all := s.statuses(id)
	if len(all) == 0 {
		return schemas.ExportStatus{}
	}
	return *all[len(all)-1]
}

func TestATenantHasAsManyOpenExportsAsItsQuotaAllowsWhicheverWorkerDecides(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	q := pipeline.Quota{Exports: 2}
	a, b := s.bounded(q, nil), s.bounded(q, nil)
	check(t, a.Handle(t.Context(), s.published(request("e1"))))
	check(t, b.Handle(t.Context(), s.published(request("e2"))))
	third := s.published(request("e3"))
	check(t, a.Handle(t.Context(), third))
	if last := s.last("e3"); last.State != schemas.Refused || !strings.Contains(last.Reason, "2 exports that did not end, and may have 2 at once") {
		t.Errorf("the third is %s: %s", last.State, last.Reason)
	}
	check(t, b.Handle(t.Context(), s.published(request("e1")))) // the same again
	if last := s.last("e1"); last.State != schemas.Requested {
		t.Errorf("what was accepted is %s when it is sent again: %s", last.State, last.Reason)
	}
	check(t, a.Work(t.Context()))
	check(t, b.Handle(t.Context(), third)) // read again, by the next owner of the partition
	if last := s.last("e3"); last.State != schemas.Refused {
		t.Errorf("what was refused is %s when it is read again", last.State)
	}
	check(t, s.handle(t.Context(), b, request("e4")))
	if last := s.last("e4"); last.State != schemas.Completed {
		t.Errorf("once others have ended, one is %s: %s", last.State, last.Reason)
	}
}

func TestWhatTakesThePlaceOfAnOpenExportIsWithinTheQuota(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.bounded(pipeline.Quota{Exports: 1}, nil)
	check(t, w.Handle(t.Context(), s.published(request("e1"))))
	successor := request("e1.2")
	successor.Supersedes = "e1"
	check(t, w.Handle(t.Context(), s.published(successor)))
	if last := s.last("e1.2"); last.State != schemas.Requested {
		t.Errorf("it is %s: %s", last.State, last.Reason)
	}
	for id, supersedes := range map[string]string{"e1.3": "e1", "other": "nothing"} {
		r := request(id)
		r.Supersedes = supersedes
		check(t, w.Handle(t.Context(), s.published(r)))
		if last := s.last(id); last.State != schemas.Refused {
			t.Errorf("%s, in the place of %s, is %s", id, supersedes, last.State)
		}
	}
}

// aged is a store whose listings are a moment old when they come.
type aged struct {
	pipeline.Store
	listed *atomic.Int32
}

func (a aged) List(ctx context.Context, prefix string) ([]bucket.Object, error) {
	a.listed.Add(1)
	all, err := a.Store.List(ctx, prefix)
	time.Sleep(time.Millisecond)
	return all, err
}

func TestOfManyRequestsReadTogetherTheQuotaAcceptsAsManyAsItAllows(t *testing.T) {
	_, _ = pair()
	now := time.Now() // the recipient's certificate is of today
	synctest.Test(t, func(t *testing.T) {
		s := newScene(pipelinetest.Records(10)...)
		s.now = func() time.Time { return now }
		w := s.bounded(pipeline.Quota{Exports: 3}, nil)
		check(t, w.Handle(t.Context(), s.published(request("first")))) // or there is no shard to list
		var listed atomic.Int32
		w.Quotas.Store = aged{s.store, &listed}
		batch := schemas.Batch[*schemas.ExportRequest]{}
		for n := range 40 {
			batch.Records = append(batch.Records, s.published(request(fmt.Sprintf("e%d", n))).Records...)
		}
		check(t, w.Handle(t.Context(), batch))
		if open, err := s.open(); err != nil || len(open) != 3 {
			t.Errorf("open are %v, %v", open, err)
		}
		if n := listed.Load(); n > 16+3 { // those that are decided at the same time, at most
			t.Errorf("what is open was counted %d times for 40 requests", n)
		}
	})
}

func TestATenantWhoseExportsOfTodayHaveTheBytesOfItsQuotaIsRefusedUntilTomorrow(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	today := sealed(1 << 20)
	w := s.bounded(pipeline.Quota{Bytes: 1 << 20}, &today)
	check(t, s.handle(t.Context(), w, request("e1")))
	tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	if last := s.last("e1"); last.State != schemas.Refused || !strings.Contains(last.Reason, "have 1.0 MiB, and the limit is 1.0 MiB a day; request it again after "+tomorrow+"T00:00:00.000Z") {
		t.Errorf("it is %s: %s", last.State, last.Reason)
	}
	today--
	check(t, s.handle(t.Context(), w, request("e2")))
	if last := s.last("e2"); last.State != schemas.Completed {
		t.Errorf("a byte below the quota it is %s: %s", last.State, last.Reason)
	}
}

func TestWhatIsRequestedAndCancelledNeedsNoHistoryWhereBytesAreBounded(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	away := sealed(-1)
	w := s.bounded(pipeline.Quota{Bytes: 1 << 20}, &away)
	check(t, w.Handle(t.Context(), s.published(request("e1"))))
	check(t, w.Handle(t.Context(), s.published(control(schemas.ActionCancel, "e1"))))
	if got, want := s.states("e1"), []schemas.State{schemas.Requested, schemas.Cancelled}; !slices.Equal(got, want) {
		t.Errorf("its states are %v, want %v", got, want)
	}
}

// unreadable is a source whose rows cannot be read while why has an error.
type unreadable struct {
	pipeline.Source
	why func() error
}

func (u unreadable) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	if err := u.why(); err != nil {
		return nil, err
	}
	return u.Source.Rows(ctx, q, first, last)
}

// breaking is bounded with a source that can break.
func (s *scene) breaking(q pipeline.Quota, today *sealed, why func() error) *export.Worker {
	w := s.worker(nil, func(of pipeline.Source) pipeline.Source { return unreadable{of, why} })
	w.Quotas = s.bounded(q, today).Quotas
	return w
}

func TestAnExportThatBeganIsCarriedOutWhateverItsTenantHasSealedMeanwhile(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	q, today := pipeline.Quota{Bytes: 1}, sealed(0)
	ctx, stop := context.WithCancel(t.Context())
	// The worker ends after the plan. It knows of no quota, as an earlier version.
	_ = s.handle(ctx, s.breaking(pipeline.Quota{}, &today, func() error { stop(); return ctx.Err() }), request("e1"))
	if open, err := s.open(); err != nil || len(open) != 1 {
		t.Fatalf("open are %q, %v", open, err)
	}
	today = 1
	next := s.bounded(q, &today)
	check(t, next.Work(t.Context()))
	if last := s.last("e1"); last.State != schemas.Completed {
		t.Errorf("on the next worker it is %s: %s", last.State, last.Reason)
	}
	check(t, s.handle(t.Context(), next, request("e2")))
	if last := s.last("e2"); last.State != schemas.Refused {
		t.Errorf("one that begins then is %s", last.State)
	}
}

func TestARetryIsWithinTheQuotaToo(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	q, today := pipeline.Quota{Bytes: 1, Exports: 1}, sealed(0)
	why := pipeline.Permanent(errAway)
	w := s.breaking(q, &today, func() error { return why })
	check(t, s.handle(t.Context(), w, request("e1")))
	if last := s.last("e1"); last.State != schemas.Failed {
		t.Fatalf("at first it is %s", last.State)
	}
	check(t, w.Handle(t.Context(), s.published(request("e2")))) // it is open
	retry := s.published(control(schemas.ActionRetry, "e1"))
	check(t, w.Handle(t.Context(), retry))
	if last := s.last("e1"); last.State != schemas.Refused || !strings.Contains(last.Reason, "may have 1 at once") {
		t.Errorf("retried while another is open it is %s: %s", last.State, last.Reason)
	}
	check(t, w.Handle(t.Context(), s.published(control(schemas.ActionCancel, "e2"))))
	today = 1
	check(t, s.handle(t.Context(), w, control(schemas.ActionRetry, "e1")))
	if e := schemas.Fold(s.statuses("e1")...); e.State != schemas.Failed || e.Failure == nil || !strings.Contains(e.Failure.Reason, "the limit is 1 B a day") || !e.Failure.Retryable || !strings.Contains(e.Failure.Hint, "retry it then") {
		t.Errorf("retried without bytes left it is %s: %+v", e.State, e.Failure)
	}
	today = 0
	ctx, stop := context.WithCancel(t.Context())
	began := s.breaking(q, &today, func() error { stop(); return ctx.Err() })
	_ = s.handle(ctx, began, control(schemas.ActionRetry, "e1"))
	today = 1
	check(t, s.bounded(q, &today).Work(t.Context()))
	if e := schemas.Fold(s.statuses("e1")...); e.State != schemas.Completed || e.Attempt != 3 {
		t.Errorf("retried the next day, and taken over when the bytes were used up, it is %s, attempt %d: %+v", e.State, e.Attempt, e.Failure)
	}
}

// TestARetryIsNotCountedBesideTheAttemptThatItFollows has a worker die between recording that an
// attempt failed and closing it.
func TestARetryIsNotCountedBesideTheAttemptThatItFollows(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	why := pipeline.Permanent(errAway)
	q := pipeline.Quota{Exports: 1}
	check(t, s.handle(t.Context(), s.breaking(q, nil, func() error { return why }), request("e1")))
	check(t, pipeline.Decisions{Store: s.store, Now: s.now}.Open(t.Context(), pipeline.Open{TenantID: pipelinetest.Tenant, ExportID: "e1", Attempt: 1}))
	if open, err := s.open(); err != nil || len(open) != 1 {
		t.Fatalf("open are %q, %v", open, err)
	}
	check(t, s.handle(t.Context(), s.bounded(q, nil), control(schemas.ActionRetry, "e1")))
	if e := schemas.Fold(s.statuses("e1")...); e.State != schemas.Completed || e.Attempt != 2 {
		t.Errorf("it is %s, attempt %d: %s", e.State, e.Attempt, e.Reason)
	}
}

// booked is history that knows what was reported on the scene.
type booked struct{ *scene }

func (b booked) SealedSince(_ context.Context, _ string, since time.Time) (n int64, _ error) {
	of := map[string][]*schemas.ExportStatus{}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, status := range b.told {
		of[status.ExportID] = append(of[status.ExportID], status)
	}
	for _, all := range of {
		if e := schemas.Fold(all...); !e.BeganAt.Before(since) {
			n += e.Done.SealedBytes
		}
	}
	return n, nil
}

// ending is a source of a worker that ends as soon as an export that began is planned.
type ending struct {
	pipeline.Source
	stop func()
}

func (e ending) Extent(ctx context.Context, _ warehouse.Query) (warehouse.Extent, error) {
	e.stop()
	return warehouse.Extent{}, ctx.Err()
}

func TestBytesCountForTheDayOnWhichAnExportBegan(t *testing.T) {
	const day = 24 * time.Hour
	s := newScene(pipelinetest.Records(200)...)
	midnight := time.Now().UTC().Truncate(day).Add(day)
	at := func(of time.Duration) { s.now = func() time.Time { return midnight.Add(of) } }
	bounded := func(around func(pipeline.Source) pipeline.Source) *export.Worker {
		w := s.worker(nil, around)
		w.Quotas = &pipeline.Quotas{Of: func(string) pipeline.Quota { return pipeline.Quota{Bytes: 1} }, Store: s.store, History: booked{s}, Now: s.now}
		return w
	}
	began := func(id string) time.Time { return schemas.Fold(s.statuses(id)...).BeganAt.Time }
	at(-time.Minute)
	check(t, bounded(nil).Handle(t.Context(), s.published(request("late"))))
	at(time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	_ = bounded(func(of pipeline.Source) pipeline.Source { return ending{of, stop} }).Work(ctx)
	at(day + time.Minute)
	check(t, bounded(nil).Work(t.Context()))
	if e := schemas.Fold(s.statuses("late")...); e.State != schemas.Completed || !began("late").Equal(midnight.Add(time.Minute)) {
		t.Fatalf("it is %s, and began at %s", e.State, began("late"))
	}
	at(2 * time.Minute)
	check(t, s.handle(t.Context(), bounded(nil), request("same-day")))
	if last := s.last("same-day"); last.State != schemas.Refused || !strings.Contains(last.Reason, "began today have") {
		t.Errorf("one that would begin on the day when another did is %s: %s", last.State, last.Reason)
	}
	at(day + 2*time.Minute)
	check(t, s.handle(t.Context(), bounded(func(of pipeline.Source) pipeline.Source {
		return unreadable{of, func() error { return pipeline.Permanent(errAway) }}
	}), request("next-day")))
	if last := s.last("next-day"); last.State != schemas.Failed {
		t.Fatalf("one that begins on the day when another was carried out is %s: %s", last.State, last.Reason)
	}
	at(2 * day)
	check(t, s.handle(t.Context(), bounded(nil), control(schemas.ActionRetry, "next-day")))
	if e := schemas.Fold(s.statuses("next-day")...); e.State != schemas.Completed || !began("next-day").Equal(midnight.Add(2*day)) {
		t.Errorf("retried a day later it is %s, and began at %s", e.State, began("next-day"))
	}
}
