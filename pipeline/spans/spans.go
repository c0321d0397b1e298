// Package spans begins and ends OpenTelemetry spans, and points from a histogram to a
// trace, for code that knows nothing of where traces go.
//
// Whether there is a trace stands in the context: a span begins where the context holds
// one already, under the provider of that one. Without, everything here does nothing.
package spans

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxText bounds what a span says of an error, in bytes.
const maxText = 512

// scope names the code that makes the spans.
const scope = "cdds"

// Attributes of spans. None holds a tenant, a payload or a row.
const (
	Export      = attribute.Key("cdds.export.id")
	Attempt     = attribute.Key("cdds.export.attempt")
	Entity      = attribute.Key("cdds.export.entity")
	Parts       = attribute.Key("cdds.export.parts")
	Part        = attribute.Key("cdds.part.number")
	Rows        = attribute.Key("cdds.rows")
	Bytes       = attribute.Key("cdds.bytes") // JSON Lines, or the attachments themselves
	ZipBytes    = attribute.Key("cdds.zip_bytes")
	SealedBytes = attribute.Key("cdds.sealed_bytes")
)

// Start begins a span below the one in ctx. The caller ends it with End.
func Start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	above := trace.SpanFromContext(ctx)
	if !above.SpanContext().IsValid() {
		return ctx, above
	}
	return above.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithAttributes(attributes...))
}

// StartAt is Start of a span that began before.
func StartAt(ctx context.Context, name string, at time.Time, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	above := trace.SpanFromContext(ctx)
	if !above.SpanContext().IsValid() {
		return ctx, above
	}
	return above.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithTimestamp(at), trace.WithAttributes(attributes...))
}

// EndAt is End of a span that ended before.
func EndAt(s trace.Span, at time.Time, err error) {
	if err != nil && s.IsRecording() {
		s.SetStatus(codes.Error, bounded(err))
	}
	s.End(trace.WithTimestamp(at))
}

// End ends a span with what came of it. Being told to stop is not a failure of what was
// done, but the span says so.
func End(s trace.Span, err error) {
	switch {
	case err == nil || !s.IsRecording():
	case errors.Is(err, context.Canceled):
		s.AddEvent("cancelled")
	default:
		s.SetStatus(codes.Error, bounded(err))
	}
	s.End()
}

// Fail says that what the span in ctx stands for failed, though it ends in order.
func Fail(ctx context.Context, err error) {
	trace.SpanFromContext(ctx).SetStatus(codes.Error, bounded(err))
}

func bounded(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "\uFFFD")
}

// Retry says in the span of ctx that what it stands for failed once and is tried again.
func Retry(ctx context.Context, err error) {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		s.AddEvent("retry", trace.WithAttributes(attribute.String("error", bounded(err))))
	}
}

// Observe observes v, in OpenMetrics with the trace that ctx is part of as its exemplar
// if that trace is kept.
func Observe(ctx context.Context, o prometheus.Observer, v float64) {
	if with, ok := o.(prometheus.ExemplarObserver); ok {
		if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
			with.ObserveWithExemplar(v, prometheus.Labels{"trace_id": c.TraceID().String()})
			return
		}
	}
	o.Observe(v)
}

// Parent is the span as a traceparent (W3C Trace Context), for Continue; empty where
// nothing is traced.
func Parent(s trace.Span) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s), carrier)
	return carrier["traceparent"]
}

// Continue returns ctx below the span of which parent is the traceparent.
func Continue(ctx context.Context, parent string) context.Context {
	above := trace.SpanFromContext(ctx)
	of := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent}))
	if !of.IsValid() || of.SpanID() == above.SpanContext().SpanID() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, continued{trace.SpanFromContext(trace.ContextWithSpanContext(context.Background(), of)), above.TracerProvider()})
}

// continued is a span that somebody else ends.
type continued struct {
	trace.Span
	provider trace.TracerProvider
}

// TracerProvider is that of the process.
func (c continued) TracerProvider() trace.TracerProvider { return c.provider }
