package consumers

import (
	"context"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"cdds/pipeline/spans"
	"cdds/schemas"
)

// headerTrace is the W3C header with the span a record was produced in. Of its 55 bytes
// the last two are flags in hexadecimal, of which the last bit says that the trace is
// kept (W3C Trace Context, section 3.2.2.5).
const (
	headerTrace    = "traceparent"
	headerTraceLen = 55
)

// maxLinks bounds the records of a batch whose traces its span links to.
const maxLinks = 32

// traced begins the spans of a batch and its events: ctx is the one to handle it in, end
// ends them.
//
// A batch has a span of its own, at the root of a trace, with links to those of records
// that are kept; so what a batch costs is bounded whatever producers trace. With
// Options.SpanPerRecord each record has one, below the one it was produced in, and says so
// in its Trace: there its trace goes on. Of a lone record that is the span it is handled in.
func (p *partition[E]) traced(records []fetched, events []schemas.Record[E]) (ctx context.Context, end func(error)) {
	tracer := p.g.opts.Tracer
	if tracer == nil {
		return p.ctx, untraced
	}
	var links []trace.Link
	var each []trace.Span
	switch perRecord := p.g.opts.SpanPerRecord; {
	case perRecord && len(records) == 1:
		ctx, s := p.span(p.origin(records[0].Record), records)
		for n := range events {
			events[n].Trace = spans.Parent(s)
		}
		return ctx, func(err error) { spans.End(s, err) }
	case perRecord:
		for n, r := range records {
			if !kept(r.Record) {
				continue
			}
			_, s := p.span(p.origin(r.Record), records[n:n+1])
			each = append(each, s)
			at := p.in.position(r.Offset)
			for len(events) > 0 && events[0].Offset < at { // dead letters have no event
				events = events[1:]
			}
			if len(events) > 0 && events[0].Offset == at {
				events[0].Trace = spans.Parent(s)
			}
			if len(links) < maxLinks {
				links = append(links, trace.Link{SpanContext: s.SpanContext()})
			}
		}
	default:
		for n := 0; n < len(records) && len(links) < maxLinks; n++ {
			if kept(records[n].Record) {
				links = append(links, trace.LinkFromContext(p.origin(records[n].Record)))
			}
		}
	}
	ctx, s := p.span(p.ctx, records, trace.WithLinks(links...), trace.WithNewRoot())
	return ctx, func(err error) {
		for _, of := range each {
			spans.End(of, err)
		}
		spans.End(s, err)
	}
}

// untraced ends nothing. Within a generic method it would be allocated each time.
func untraced(error) {}

// attributes are those that all spans of a partition have.
func (g *Group[E]) attributes(partition int32) []attribute.KeyValue {
	if g.opts.Tracer == nil {
		return nil
	}
	return []attribute.KeyValue{
		semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(string(g.opts.Topic)), semconv.MessagingDestinationPartitionID(strconv.Itoa(int(partition))),
		semconv.MessagingConsumerGroupName(g.opts.GroupID),
	}
}

// span begins the span of records that are handled together.
func (p *partition[E]) span(ctx context.Context, records []fetched, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	attributes := append(make([]attribute.KeyValue, 0, 7), p.attributes...)
	attributes = append(attributes, semconv.MessagingKafkaOffset(int(records[0].Offset)), semconv.MessagingBatchMessageCount(len(records)))
	options = append(options, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attributes...))
	return p.g.opts.Tracer.Start(ctx, string(p.g.opts.Topic)+" process", options...)
}

// origin is the partition's context with the span that a record was produced in.
func (p *partition[E]) origin(r *kgo.Record) context.Context {
	return propagation.TraceContext{}.Extract(p.ctx, headers{r})
}

// kept reports, without reading all of it, whether the trace of a record is kept.
func kept(r *kgo.Record) bool {
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Key == headerTrace {
			return len(h.Value) >= headerTraceLen && strings.IndexByte("13579bdf", h.Value[headerTraceLen-1]) >= 0
		}
	}
	return false
}

// headers are those of a record, as propagation reads them: traceparent only. The
// tracestate that goes with it may be long, and would be repeated in every record that a
// record leads to.
type headers struct{ r *kgo.Record }

// Get returns the header, empty if none exists.
func (h headers) Get(key string) string {
	if key != headerTrace {
		return ""
	}
	for _, of := range h.r.Headers {
		if of.Key == key {
			return string(of.Value)
		}
	}
	return ""
}

// Set is there for the interface; nothing is injected here.
func (headers) Set(string, string) {}

// Keys is there for the interface; reading a trace does not ask for them.
func (headers) Keys() []string { return nil }
