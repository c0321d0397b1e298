package export_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

func (l silent) Seal(ctx context.Context, t schemas.Topic) (schemas.Snapshot, []int32, error) {
	if l.away.Load() {
		return nil, nil, pipelinetest.ErrInjected
	}
	return l.SourceLog.Seal(ctx, t)
}

func TestARequestThatCannotBeDecidedYetWaitsSaysSoAndIsThenAccepted(t *testing.T) {
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
			w.Log = silent{pipelinetest.Log{End: s.ends}, &away}
			now := time.Now()
			w.Now = func() time.Time { return now }
			away.Store(true)
			b := s.published(request("e"))
			for range 1000 { // hours
				if err := w.Handle(t.Context(), b); !errors.Is(err, pipelinetest.ErrInjected) {
					t.Fatalf("it was handled: %v", err)
				}
				now = now.Add(15 * time.Second)
			}
			e := schemas.Fold(s.statuses("e")...)
			if e.State != schemas.Requested || e.Waiting != "waiting to be accepted; retrying: injected fault" || e.Events < 400 || e.Events > 600 {
				t.Fatalf("it is %s, %q, after %d events", e.State, e.Waiting, e.Events)
			}
			away.Store(false)
			check(t, w.Handle(t.Context(), b))
			check(t, w.Work(t.Context()))
			if e = schemas.Fold(s.statuses("e")...); e.State != schemas.Completed || e.Attempt != 1 || e.Done.Rows != 100 || e.Waiting != "" {
				t.Errorf("then it is %s with %d rows, attempt %d: %+v %v", e.State, e.Done.Rows, e.Attempt, e.Failure, e.Conflicts)
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

// TestAnExportThatMeetsAnOutageAtAnyStepComesToItsEnd has the store and ClickHouse go away
// at every call, before its effect and after it, for that call or for a hundred: the export
// waits, or is given up and retried, and comes to the end that a whole run has.
func TestAnExportThatMeetsAnOutageAtAnyStepComesToItsEnd(t *testing.T) {
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
			var givenUp, waited atomic.Int32
			var ahead time.Duration
			began := time.Now()
			outage := func(t *testing.T, n int, moment pipelinetest.Moment, lasts bool, patience time.Duration) {
				s := newScene(records...)
				s.now = func() time.Time { return time.Now().Add(ahead) }
				w := s.worker(&pipelinetest.Faults{Step: func(call int, m pipelinetest.Moment) error {
					if call == n && (m == moment || m == pipelinetest.After) || lasts && call > n && call < n+100 {
						return pipelinetest.ErrInjected
					}
					return nil
				}}, nil)
				w.RetryFor, w.Tenants = patience, tenants(c.known)
				err := s.handle(t.Context(), w, c.ask("e"))
				e := schemas.Fold(s.statuses("e")...)
				if e.State == schemas.Failed && e.Failure.Retryable {
					givenUp.Add(1)
					err = errors.Join(err, s.handle(t.Context(), w, control(schemas.ActionRetry, "e")))
					e = schemas.Fold(s.statuses("e")...)
				}
				for _, at := range s.statuses("e") {
					if at.Waiting != "" {
						waited.Add(1)
						break
					}
				}
				asExpected := e.State == c.end && e.Done.Rows == want.Done.Rows
				if c.end == schemas.Refused { // an accepted export cannot be refused again
					asExpected = asExpected || e.State == schemas.Failed && !e.Failure.Retryable && e.Failure.Reason == want.Reason
				}
				if err != nil || !asExpected {
					t.Errorf("away at call %d, after its effect %v, and from then on %v: it is %s with %d rows, %+v %v, %v",
						n, moment, lasts, e.State, e.Done.Rows, e.Failure, e.Conflicts, err)
				}
				if left, err := s.open(); len(left) > 0 || err != nil {
					t.Errorf("away at call %d, after its effect %v, and from then on %v: open is still %v, %v", n, moment, lasts, left, err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				ahead = began.Round(0).Sub(time.Now().Round(0)) // the bubble begins in 2000, before any certificate
				var trials sync.WaitGroup
				for n := 1; n <= counted.Calls(); n++ {
					for trial := range 8 {
						patience := time.Hour
						if trial&4 > 0 {
							patience = time.Millisecond
						}
						trials.Go(func() { outage(t, n, pipelinetest.Moment(trial&1 > 0), trial&2 > 0, patience) })
					}
				}
				trials.Wait()
			})
			if givenUp.Load() == 0 || waited.Load() == 0 {
				t.Errorf("%d outages ended an attempt and %d were waited for", givenUp.Load(), waited.Load())
			}
			t.Logf("%d outages, %d exports given up, %d waited", 8*counted.Calls(), givenUp.Load(), waited.Load())
		})
	}
}
