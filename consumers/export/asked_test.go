package export_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cdds/consumers/export"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// silent is a source log that does not answer while it is away.
type silent struct {
	export.SourceLog
	away *atomic.Bool
}

func (l silent) Seal(ctx context.Context, t schemas.Topic) (schemas.Snapshot, error) {
	if l.away.Load() {
		return nil, pipelinetest.ErrInjected
	}
	return l.SourceLog.Seal(ctx, t)
}

// TestAnExportThatCouldNotBeAcceptedIsRetriedByItsID has the store away, so that nothing at
// all is known of the export but its message, or Kafka, so that its failure is marked.
func TestAnExportThatCouldNotBeAcceptedIsRetriedByItsID(t *testing.T) {
	for _, what := range []string{"the store", "Kafka"} {
		t.Run(what+" is away", func(t *testing.T) {
			s := newScene(pipelinetest.Records(100)...)
			var away atomic.Bool
			w := s.worker(&pipelinetest.Faults{Step: func(int, pipelinetest.Moment) error {
				if what == "the store" && away.Load() {
					return pipelinetest.ErrInjected
				}
				return nil
			}}, nil)
			w.Log, w.RetryFor = silent{pipelinetest.Log{End: s.ends}, &away}, 50*time.Millisecond
			away.Store(true)
			check(t, s.handle(t.Context(), w, request("e")))
			e := schemas.Fold(s.statuses("e")...)
			if e.State != schemas.Failed || e.Failure.Stage != "accept" || !e.Failure.Retryable {
				t.Fatalf("it is %s, %+v", e.State, e.Failure)
			}
			if e.Request == nil || e.RequestDigest != request("e").Digest() {
				t.Errorf("nobody is told what was asked for: %+v, digest %q", e.Request, e.RequestDigest)
			}
			away.Store(false)
			check(t, s.handle(t.Context(), w, control(schemas.ActionRetry, "e")))
			if e = schemas.Fold(s.statuses("e")...); e.State != schemas.Completed || e.Attempt != 2 || e.Done.Rows != 100 {
				t.Errorf("retried, it is %s with %d rows, attempt %d: %+v %v", e.State, e.Done.Rows, e.Attempt, e.Failure, e.Conflicts)
			}
		})
	}
}

func TestARetryOfWhatWasNeverAskedForIsRefused(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	wrong := request("wrong")
	wrong.From, wrong.To = wrong.To, wrong.From
	check(t, s.handle(t.Context(), w, wrong))
	check(t, s.handle(t.Context(), w, request("another")))
	for _, id := range []string{"wrong", "unknown"} {
		check(t, s.handle(t.Context(), w, control(schemas.ActionRetry, id)))
		all := s.statuses(id)
		if last := all[len(all)-1]; last.State != schemas.Refused || last.Reason != "there is no export of this id to retry" {
			t.Errorf("%s: %s, %s", id, last.State, last.Reason)
		}
	}
}

// tenants are all known, or none is.
type tenants bool

func (known tenants) HasTenant(context.Context, string) (bool, error) { return bool(known), nil }

// TestAnExportThatWasGivenUpAtAnyStepIsEndedByItsRetry has the store and ClickHouse go away
// at every call, before its effect and after it, and the export given up: whatever had been decided by then, the retry comes to the end that a whole run has.
func TestAnExportThatWasGivenUpAtAnyStepIsEndedByItsRetry(t *testing.T) {
	records := pipelinetest.Records(600)
	none := func(id string) *schemas.ExportRequest {
		r := request(id)
		r.From, r.To = r.To, schemas.TimeOf(r.To.Add(time.Hour))
		return r
	}
	for name, c := range map[string]struct {
		ask   func(id string) *schemas.ExportRequest
		known bool
		end   schemas.State
	}{
		"of rows":              {request, true, schemas.Completed},
		"of no rows":           {none, true, schemas.Completed},
		"of an unknown tenant": {none, false, schemas.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			counted := &pipelinetest.Faults{}
			whole := newScene(records...)
			undisturbed := whole.worker(counted, nil)
			undisturbed.Tenants = tenants(c.known)
			check(t, whole.handle(t.Context(), undisturbed, c.ask("e")))
			want := schemas.Fold(whole.statuses("e")...)
			if want.State != c.end {
				t.Fatalf("undisturbed it is %s, %s", want.State, want.Reason)
			}
			var givenUp atomic.Int32
			var trials sync.WaitGroup
			for n := 1; n <= counted.Calls(); n++ {
				for trial := range 4 {
					moment, lasts := pipelinetest.Moment(trial&1 > 0), trial&2 > 0 // or else the failure is marked
					trials.Go(func() {
						s := newScene(records...)
						var back atomic.Bool
						w := s.worker(&pipelinetest.Faults{Step: func(call int, m pipelinetest.Moment) error {
							if !back.Load() && (call > n && lasts || call == n && (m == moment || m == pipelinetest.After)) {
								return pipelinetest.ErrInjected
							}
							return nil
						}}, nil)
						w.RetryFor, w.Tenants = time.Millisecond, tenants(c.known)
						err := s.handle(t.Context(), w, c.ask("e"))
						back.Store(true)
						if e := schemas.Fold(s.statuses("e")...); e.State == schemas.Failed {
							givenUp.Add(1)
							err = errors.Join(err, s.handle(t.Context(), w, control(schemas.ActionRetry, "e")))
						}
						e := schemas.Fold(s.statuses("e")...)
						asExpected := e.State == c.end && e.Done.Rows == want.Done.Rows
						if c.end == schemas.Refused { // it was accepted, so it is no refusal any more
							asExpected = asExpected || e.State == schemas.Failed && !e.Failure.Retryable && e.Failure.Reason == want.Reason
						}
						if err != nil || !asExpected {
							t.Errorf("away at call %d, after its effect %v, and from then on %v: it is %s with %d rows, %+v %v, %v",
								n, moment, lasts, e.State, e.Done.Rows, e.Failure, e.Conflicts, err)
						}
					})
				}
			}
			trials.Wait()
			if int(givenUp.Load()) < 3*counted.Calls() {
				t.Errorf("only %d of %d outages ended an attempt", givenUp.Load(), 4*counted.Calls())
			}
			t.Logf("%d outages, %d exports given up", 4*counted.Calls(), givenUp.Load())
		})
	}
}
