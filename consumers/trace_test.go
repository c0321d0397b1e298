package consumers

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"cdds/schemas"
)

// tracedPartition is a partition whose spans are kept in memory.
func tracedPartition(t testing.TB, perRecord bool) (*partition[*schemas.Interaction], *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	g := &Group[*schemas.Interaction]{opts: Options[*schemas.Interaction]{
		GroupID: group, Topic: topic, Tracer: tracer, SpanPerRecord: perRecord,
	}}
	in := &intake[*schemas.Interaction]{topic: topic, partition: 3}
	return &partition[*schemas.Interaction]{g: g, id: 3, ctx: t.Context(), attributes: g.attributes(3), in: in}, spans
}

// published returns n records with the headers of CDDS. One in every belongs to a trace that
// is kept; with 0, none does.
func published(n, every int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		flags := "00"
		if every > 0 && i%every == 0 {
			flags = "01"
		}
		records[i] = &kgo.Record{Offset: int64(i), Headers: []kgo.RecordHeader{
			{Key: schemas.HeaderSpecVersion, Value: []byte(schemas.SpecVersion)},
			{Key: schemas.HeaderID, Value: []byte("i")}, {Key: schemas.HeaderType, Value: []byte("t")},
			{Key: schemas.HeaderSource, Value: []byte("s")}, {Key: schemas.HeaderContentType, Value: []byte(schemas.ContentTypeJSON)},
			{Key: headerTrace, Value: fmt.Appendf(nil, "00-%032x-%016x-%s", i+1, i+1, flags)},
		}}
	}
	return records
}

// queued are records as a partition queues them.
func queued(records []*kgo.Record) []fetched {
	all := make([]fetched, len(records))
	for i, r := range records {
		all[i] = fetched{Record: r, next: r.Offset + 1}
	}
	return all
}

func TestASpanOfABatchLinksToABoundedNumberOfRecordsThatAreKept(t *testing.T) {
	for _, c := range []struct{ records, every, links int }{{1, 1, 1}, {100, 0, 0}, {100, 10, 10}, {1000, 1, maxLinks}} {
		p, spans := tracedPartition(t, false)
		ctx, end := p.traced(queued(published(c.records, c.every)), nil)
		end(nil)
		ended := spans.Ended()
		if len(ended) != 1 || len(ended[0].Links()) != c.links || ended[0].Parent().IsValid() {
			t.Fatalf("%d records, one in %d kept: %d spans, %d links, parent %v; want one span at a root with %d links",
				c.records, c.every, len(ended), len(ended[0].Links()), ended[0].Parent(), c.links)
		}
		if trace.SpanContextFromContext(ctx).SpanID() != ended[0].SpanContext().SpanID() {
			t.Error("the batch is not handled in its span")
		}
		for _, l := range ended[0].Links() {
			if !l.SpanContext.IsSampled() || !l.SpanContext.IsRemote() {
				t.Errorf("a link leads to %v", l.SpanContext)
			}
		}
	}
}

func TestATraceGoesOnInTheSpanOfItsRecord(t *testing.T) {
	p, spans := tracedPartition(t, true)
	records := published(1, 1)
	ctx, end := p.traced(queued(records), nil)
	end(errors.New("for good"))
	lone := spans.Ended()[0]
	if lone.SpanContext().TraceID() != trace.SpanContextFromContext(ctx).TraceID() || lone.Parent().SpanID().String() != "0000000000000001" || lone.Status().Description != "for good" {
		t.Errorf("the span of a lone record is below %v, status %v", lone.Parent(), lone.Status())
	}

	p, spans = tracedPartition(t, true)
	var events []schemas.Record[*schemas.Interaction]
	for n := int64(0); n < 100; n++ {
		if n != 20 { // a dead letter
			events = append(events, schemas.Record[*schemas.Interaction]{Offset: n})
		}
	}
	_, end = p.traced(queued(published(100, 10)), events)
	end(nil)
	for _, e := range events {
		if want := e.Offset%10 == 0; want != strings.Contains(e.Trace, fmt.Sprintf("-%032x-", e.Offset+1)) || !want && e.Trace != "" {
			t.Errorf("record %d goes on in %q", e.Offset, e.Trace)
		}
	}
	below := 0
	for _, s := range spans.Ended() {
		if s.Parent().IsRemote() {
			below++
		}
	}
	if below != 10 || len(spans.Ended()) != 11 {
		t.Errorf("%d spans, %d of them below where their records were published; want 10 and the batch's", len(spans.Ended()), below)
	}
}

func TestATraceThatIsNotKeptGoesOnNotKept(t *testing.T) {
	p, spans := tracedPartition(t, true)
	ctx, end := p.traced(queued(published(1, 0)), nil)
	end(nil)
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() || c.TraceID().String() != fmt.Sprintf("%032x", 1) {
		t.Errorf("the context goes on with %v", c)
	}
	if n := len(spans.Ended()); n != 0 {
		t.Errorf("%d spans are kept", n)
	}
}

func TestATraceparentThatIsNoneBeginsATraceAndATracestateIsNotRepeated(t *testing.T) {
	for _, text := range []string{"", "01", strings.Repeat("1", headerTraceLen), "00-" + strings.Repeat("0", 32) + "-" + strings.Repeat("0", 16) + "-01",
		"ff-" + strings.Repeat("a", 32) + "-" + strings.Repeat("a", 16) + "-01", strings.Repeat("\xff", 1000) + "1"} {
		for _, perRecord := range []bool{true, false} {
			p, spans := tracedPartition(t, perRecord)
			r := published(1, 1)[0]
			r.Headers[len(r.Headers)-1].Value = []byte(text)
			_, end := p.traced(queued([]*kgo.Record{r}), nil)
			end(nil)
			if s := spans.Ended(); len(s) != 1 || s[0].Parent().IsValid() || len(s[0].Links()) != 0 {
				t.Errorf("%.60q leads to %d spans, the first below %v with links %v", text, len(s), s[0].Parent(), s[0].Links())
			}
		}
	}
	p, _ := tracedPartition(t, true)
	r := published(1, 1)[0]
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "tracestate", Value: []byte("a=b")})
	ctx, end := p.traced(queued([]*kgo.Record{r}), nil)
	end(nil)
	if state := trace.SpanContextFromContext(ctx).TraceState(); state.Len() > 0 {
		t.Errorf("the trace goes on with the state %s", state)
	}
}

func TestWithoutATracerABatchCostsNoAllocation(t *testing.T) {
	p, _ := tracedPartition(t, false)
	p.g.opts.Tracer = nil
	records := queued(published(100, 1))
	if n := testing.AllocsPerRun(100, func() {
		_, end := p.traced(records, nil)
		end(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTraced is what tracing adds to a batch of ingest: off, and where producers
// keep none, one in a hundred and all of their traces.
func BenchmarkTraced(b *testing.B) {
	for _, c := range []struct {
		name  string
		every int
	}{{"off", 1}, {"kept=0", 0}, {"kept=0.01", 100}, {"kept=1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			p, _ := tracedPartition(b, false)
			p.g.opts.Tracer = sdktrace.NewTracerProvider().Tracer("bench")
			if c.name == "off" {
				p.g.opts.Tracer = nil
			}
			records := queued(published(20_000, c.every))
			b.ReportAllocs()
			for b.Loop() {
				_, end := p.traced(records, nil)
				end(nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
		})
	}
}
