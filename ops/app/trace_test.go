package app_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/tracing"
	"cdds/producers"
	"cdds/schemas"
)

// traced makes the world's roles log JSON to the buffer and send their spans to a
// collector, and its publisher send spans too, until sent is called.
func (w *world) traced(ratio float64) (c *collector, log *syncBuffer, sent func()) {
	w.t.Helper()
	c, log = newCollector(w.t), new(syncBuffer)
	w.config.Tracing = config.Tracing{Endpoint: c.URL, SampleRatio: ratio, Headers: "x-token=opened"}
	w.log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	traces, err := tracing.Start(w.config.Tracing, tracing.Process{Name: "producer"}, w.log)
	check(w.t, err)
	opts, err := connect.Kafka(w.config.Kafka, "test", nil)
	check(w.t, err)
	w.publisher, err = producers.New(append(opts, traces.Kafka("test")...), "test", nil)
	check(w.t, err)
	return c, log, func() {
		w.publisher.Close()
		check(w.t, traces.Close())
	}
}

func TestAnExportIsOneTraceFromItsRequestToItsHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	collector, log, sent := w.traced(1)
	stop := w.run("ingest", "export", "history")
	const many = 600
	var events []schemas.Event
	for n := range many {
		events = append(events, interaction("acme", n))
	}
	w.publish(events...)
	r := w.request("acme", "e1")
	r.SplitSize = 64 << 10
	w.publish(r)
	e := w.await("acme", "e1")
	if e.State != schemas.Completed || len(e.Parts) < 2 {
		t.Fatalf("%s with %d parts: %s %+v", e.State, len(e.Parts), e.Reason, e.Failure)
	}
	page := w.openMetrics()
	stop()
	sent()

	requests := collector.named("", "cdds.export.requests publish")
	if len(requests) != 1 || len(requests[0].ParentSpanId) != 0 {
		t.Fatalf("the request's publication is not the one root: %v", requests)
	}
	trace := hex.EncodeToString(requests[0].TraceId)
	t.Run("every step is there below the one that led to it", func(t *testing.T) {
		for name, above := range map[string]string{
			"cdds.export.requests process": "cdds.export.requests publish",
			"export":                       "cdds.export.requests process",
			"accept":                       "cdds.export.requests process", "barrier": "export", "plan": "export", "part": "export", "manifest": "export",
			"query": "part", "seal": "part", "put": "part",
			"cdds.export.status process": "cdds.export.status publish",
			"cdds.audit process":         "cdds.audit publish",
		} {
			collector.below(t, trace, name, above)
		}
	})
	t.Run("each status is published and stored in it", func(t *testing.T) {
		want := 3 + len(e.Parts) // requested, planned, parts, completed
		for _, name := range []string{"cdds.export.status publish", "cdds.export.status process"} {
			if got := len(collector.named(trace, name)); got < want {
				t.Errorf("%d spans are %q, want %d or more", got, name, want)
			}
		}
		if got := len(collector.named("", "part")); got != len(e.Parts) {
			t.Errorf("%d parts have spans, want %d", got, len(e.Parts))
		}
	})
	t.Run("spans say which export, part and how much", func(t *testing.T) {
		for _, s := range collector.named(trace, "part") {
			number, _ := attribute(s, "cdds.part.number").(int64)
			if number < 1 || int(number) > len(e.Parts) {
				t.Fatalf("a part is number %d", number)
			}
			p := e.Parts[number-1]
			if attribute(s, "cdds.export.id") != "e1" || attribute(s, "cdds.rows") != p.Rows ||
				attribute(s, "cdds.bytes") != p.Bytes || attribute(s, "cdds.sealed_bytes") != p.SealedBytes {
				t.Errorf("part %d says %v", number, s.Attributes)
			}
		}
		if got := collector.resource["service.name"]; got != "cdds" {
			t.Errorf("the service is %q", got)
		}
	})
	t.Run("what was published is linked where it is stored", func(t *testing.T) {
		published := map[string]bool{}
		for _, s := range collector.named("", "cdds.interactions publish") {
			published[string(s.SpanId)] = true
		}
		linked := 0
		for _, s := range collector.named("", "cdds.interactions process") {
			for _, l := range s.Links {
				if !published[string(l.SpanId)] {
					t.Error("a link leads to nothing that was published")
				}
				linked++
			}
			if len(s.Links) > 32 || len(s.ParentSpanId) != 0 {
				t.Errorf("a batch has %d links, parent %x", len(s.Links), s.ParentSpanId)
			}
		}
		if len(published) != many || linked == 0 {
			t.Errorf("%d publications, %d links to them", len(published), linked)
		}
	})
	t.Run("log lines about it say its ids", func(t *testing.T) {
		lines := 0
		for line := range strings.Lines(log.String()) {
			var l struct {
				Msg, TraceID, SpanID, ExportID string
			}
			check(t, json.Unmarshal([]byte(strings.NewReplacer("trace_id", "TraceID", "span_id", "SpanID", "export_id", "ExportID").Replace(line)), &l))
			if strings.HasPrefix(l.Msg, "export ") {
				lines++
				if l.TraceID != trace || len(l.SpanID) != 16 || l.ExportID != "e1" {
					t.Errorf("a line does not: %s", line)
				}
			}
		}
		if lines < 3+len(e.Parts) {
			t.Errorf("%d lines are about the export", lines)
		}
	})
	t.Run("histograms point to it", func(t *testing.T) {
		if !slices.ContainsFunc(strings.Split(page, "\n"), func(l string) bool {
			return strings.HasPrefix(l, "cdds_export_part_seconds_bucket") && strings.Contains(l, `# {trace_id="`+trace+`"}`)
		}) {
			t.Error("no bucket of cdds_export_part_seconds has the trace as its exemplar")
		}
	})
	t.Run("the configured headers go along", func(t *testing.T) {
		if got := collector.header.Get("X-Token"); got != "opened" {
			t.Errorf("x-token is %q", got)
		}
	})
}

// below checks that spans of the name are there, each right below one named above.
func (c *collector) below(t *testing.T, trace, name, above string) {
	t.Helper()
	found := c.named(trace, name)
	if len(found) == 0 {
		t.Errorf("the trace has no %q", name)
	}
	parents := c.named(trace, above)
	for _, s := range found {
		if !slices.ContainsFunc(parents, func(p *tracepb.Span) bool { return bytes.Equal(p.SpanId, s.ParentSpanId) }) {
			t.Errorf("%q is not below %q", name, above)
		}
	}
}

// openMetrics is the page of metrics with its exemplars.
func (w *world) openMetrics() string {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), "GET", w.metrics+"/metrics", nil)
	check(w.t, err)
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	answer, err := http.DefaultClient.Do(request)
	check(w.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(w.t, err)
	return string(body)
}

func TestNothingIsTracedUnlessItIsAskedFor(t *testing.T) {
	collector := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	w := newWorld(t)
	stop := w.run("ingest", "export", "history")
	w.publish(interaction("acme", 1), w.request("acme", "e1"))
	if e := w.await("acme", "e1"); e.State != schemas.Completed {
		t.Fatalf("%s: %+v", e.State, e.Failure)
	}
	page := w.openMetrics()
	stop()
	if collector.requests > 0 {
		t.Errorf("%d requests were sent", collector.requests)
	}
	if strings.Contains(page, "trace_id") {
		t.Error("a metric has an exemplar")
	}
	for _, r := range w.records() {
		if header(r, "traceparent") != "" {
			t.Errorf("a record of %s has a traceparent", r.Topic)
		}
	}
}

// records are all records of all topics.
func (w *world) records() []*kgo.Record {
	w.t.Helper()
	ends, err := w.admin.ListEndOffsets(w.t.Context())
	check(w.t, err)
	starts, err := w.admin.ListStartOffsets(w.t.Context())
	check(w.t, err)
	var topics []string
	var left int64
	for topic, partitions := range ends {
		topics = append(topics, topic)
		for n, p := range partitions {
			left += p.Offset - starts[topic][n].Offset
		}
	}
	opts, err := connect.Kafka(w.config.Kafka, "reader", nil)
	check(w.t, err)
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	check(w.t, err)
	defer client.Close()
	var all []*kgo.Record
	for int64(len(all)) < left {
		fetches := client.PollFetches(w.t.Context())
		check(w.t, fetches.Err())
		all = append(all, fetches.Records()...)
	}
	return all
}
