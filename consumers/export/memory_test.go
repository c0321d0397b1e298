package export_test

import (
	"context"
	"strings"
	"testing"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// TestAPartThatDoesNotFitAWorkerCanBeRetriedOnAnother has a worker with less memory carry on what
// one with more has planned.
func TestAPartThatDoesNotFitAWorkerCanBeRetriedOnAnother(t *testing.T) {
	s := newScene(pipelinetest.Records(200)...)
	ctx, stop := context.WithCancel(t.Context())
	ends := s.worker(nil, func(of pipeline.Source) pipeline.Source {
		return unreadable{of, func() error { stop(); return ctx.Err() }}
	})
	_ = s.handle(ctx, ends, request("e1"))
	s.memory = 1 << 10
	check(t, s.worker(nil, nil).Work(t.Context()))
	e := schemas.Fold(s.statuses("e1")...)
	if f := e.Failure; e.State != schemas.Failed || f.Stage != "part" || !strings.Contains(f.Reason, "it can need") || !f.Retryable || !strings.Contains(f.Hint, "give all workers the same export.memory") {
		t.Fatalf("on a worker with too little memory it is %s: %+v", e.State, f)
	}
	s.memory = 64 << 20
	check(t, s.handle(t.Context(), s.worker(nil, nil), control(schemas.ActionRetry, "e1")))
	if e := schemas.Fold(s.statuses("e1")...); e.State != schemas.Completed {
		t.Errorf("retried on another it is %s: %+v", e.State, e.Failure)
	}
}
