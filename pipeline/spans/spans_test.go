package spans_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"cdds/pipeline/spans"
)

// traced is a context with a span, and what becomes of the spans below it.
func traced(t *testing.T, ratio float64) (context.Context, *tracetest.SpanRecorder) {
	kept := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(kept), sdktrace.WithSampler(sdktrace.TraceIDRatioBased(ratio)))
	ctx, above := provider.Tracer("test").Start(t.Context(), "above")
	t.Cleanup(func() { above.End() })
	return ctx, kept
}

func TestWithoutATraceNothingIsMade(t *testing.T) {
	counts := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x"})
	failed := errors.New("failed")
	if n := testing.AllocsPerRun(100, func() {
		ctx, s := spans.Start(t.Context(), "x")
		spans.Retry(ctx, failed)
		spans.Observe(ctx, counts, 1)
		spans.End(s, failed)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestASpanSaysWhatCameOfItAndAnErrorIsBounded(t *testing.T) {
	long := errors.New(strings.Repeat("ü", 10_000))
	for name, c := range map[string]struct {
		err    error
		status codes.Code
	}{
		"done":      {nil, codes.Unset},
		"failed":    {long, codes.Error},
		"cancelled": {fmt.Errorf("stop: %w", context.Canceled), codes.Unset},
	} {
		ctx, kept := traced(t, 1)
		ctx, s := spans.Start(ctx, name)
		spans.Retry(ctx, long)
		spans.End(s, c.err)
		got := kept.Ended()[0]
		if got.Status().Code != c.status || len(got.Status().Description) > 600 || !got.Parent().IsValid() {
			t.Errorf("%s: the status is %.80v, the parent %v", name, got.Status(), got.Parent())
		}
		if e := got.Events(); len(e) == 0 || e[0].Name != "retry" || len(e[0].Attributes[0].Value.AsString()) > 600 {
			t.Errorf("%s: its events are %v", name, e)
		}
	}
}

func TestWhatFailedInOrderIsAnErrorAllTheSame(t *testing.T) {
	ctx, kept := traced(t, 1)
	ctx, s := spans.Start(ctx, "export")
	spans.Fail(ctx, errors.New("given up"))
	spans.End(s, nil)
	if got := kept.Ended()[0].Status(); got.Code != codes.Error || got.Description != "given up" {
		t.Errorf("the status is %v", got)
	}
}

func TestAnObservationHasTheTraceAsItsExemplarIfThatIsKept(t *testing.T) {
	for _, ratio := range []float64{0, 1} {
		ctx, _ := traced(t, ratio)
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", Buckets: []float64{1}})
		spans.Observe(ctx, h, 0.5)
		var m dto.Metric
		if err := h.Write(&m); err != nil {
			t.Fatal(err)
		}
		has := m.GetHistogram().GetBucket()[0].GetExemplar() != nil
		if has != (ratio == 1) || m.GetHistogram().GetSampleCount() != 1 {
			t.Errorf("at ratio %v: exemplar %v after %d observations", ratio, has, m.GetHistogram().GetSampleCount())
		}
	}
}
