package export_test

import (
	"context"
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

func (l silent) EndOffsets(ctx context.Context, t schemas.Topic) (schemas.Snapshot, error) {
	if l.away.Load() {
		return nil, pipelinetest.ErrInjected
	}
	return l.SourceLog.EndOffsets(ctx, t)
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
			w.Log, w.RetryFor = silent{s, &away}, 50*time.Millisecond
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
