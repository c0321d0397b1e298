package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"cdds/ops/config"
	"cdds/schemas"
)

func start(t testing.TB, c config.Tracing, log *slog.Logger) *Traces {
	t.Helper()
	traces, err := Start(c, Process{Name: "test", Roles: []string{"export"}}, log)
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

func TestNothingConfiguredIsNoTracerNoHookAndTheLoggerAsItWas(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	off := start(t, config.Default().Tracing, log)
	if off.Tracer("export") != nil || off.Kafka("x") != nil || off.Logger(log) != log || off.Close() != nil {
		t.Error("something is there")
	}
}

func TestAReceiverThatIsDownHoldsNothingUpAndIsTold(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	var said bytes.Buffer
	traces := start(t, config.Tracing{Endpoint: down.URL, SampleRatio: 1, Headers: "authorization=canary"}, slog.New(slog.NewTextHandler(&said, nil)))
	tracer := traces.Tracer("export")
	for range 3 * maxWaiting { // more than can wait
		_, s := tracer.Start(t.Context(), "x")
		s.End()
	}
	if err := traces.Close(); err != nil {
		t.Errorf("the process fails for it: %v", err)
	}
	if text := said.String(); strings.Count(text, "traces are lost") != 1 || strings.Contains(text, "canary") {
		t.Errorf("the log says %q", text)
	}
}

func TestAnHTTPSReceiverIsTrustedByItsCA(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/otlp/v1/traces" && r.Header.Get("Authorization") == "Bearer a=b" {
			requests.Add(1)
		}
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int32{"": 0, ca: 1} {
		requests.Store(0)
		traces := start(t, config.Tracing{
			Endpoint: server.URL + "/otlp/v1/traces", SampleRatio: 1, Headers: "authorization=Bearer a=b", TLS: config.TLS{CAFile: file},
		}, slog.New(slog.DiscardHandler))
		_, s := traces.Tracer("export").Start(t.Context(), "x")
		s.End()
		if err := traces.Close(); err != nil {
			t.Fatal(err)
		}
		if got := requests.Load(); got != want {
			t.Errorf("with CA file %q %d requests came, want %d", file, got, want)
		}
	}
}

func TestATraceIsKeptIfWhatItIsLinkedToIs(t *testing.T) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler{sdktrace.TraceIDRatioBased(0)})).Tracer("test")
	of := func(flags trace.TraceFlags) trace.SpanStartOption {
		return trace.WithLinks(trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{1}, TraceFlags: flags})})
	}
	if _, s := tracer.Start(t.Context(), "x", of(trace.FlagsSampled)); !s.SpanContext().IsSampled() {
		t.Error("linked to one that is kept, it is not kept")
	}
	if _, s := tracer.Start(t.Context(), "x", of(0)); s.SpanContext().IsSampled() {
		t.Error("linked to one that is not kept, it is kept")
	}
}

func TestALogLineOfATraceSaysItsIDsAndOtherLinesDoNot(t *testing.T) {
	var out bytes.Buffer
	log := (&Traces{}).Logger(slog.New(slog.NewJSONHandler(&out, nil))).With("role", "export")
	c := trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{0xab}, SpanID: [8]byte{0xcd}})
	log.InfoContext(trace.ContextWithSpanContext(t.Context(), c), "in")
	log.InfoContext(t.Context(), "out")
	var in, outside map[string]any
	lines := json.NewDecoder(&out)
	if err := errors.Join(lines.Decode(&in), lines.Decode(&outside)); err != nil {
		t.Fatal(err)
	}
	if in["trace_id"] != "ab000000000000000000000000000000" || in["span_id"] != "cd00000000000000" || in["role"] != "export" {
		t.Errorf("the line of the trace is %v", in)
	}
	if _, there := outside["trace_id"]; there {
		t.Errorf("the other line is %v", outside)
	}
}

func TestARecordOfWhichThereAreManyHasAHeaderOnlyIfItsTraceIsKept(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	for _, c := range []struct {
		topic schemas.Topic
		ratio float64
		ends  string // of traceparent; empty: none exists
	}{
		{schemas.TopicInteractions, 1, "-01"}, {schemas.TopicInteractions, 0, ""},
		{schemas.TopicExportRequests, 1, "-01"}, {schemas.TopicExportRequests, 0, "-00"},
	} {
		traces := start(t, config.Tracing{Endpoint: down.URL, SampleRatio: c.ratio}, slog.New(slog.DiscardHandler))
		r := &kgo.Record{Topic: string(c.topic), Key: []byte("i"), Context: t.Context()}
		hooks := traces.producing("test")
		hooks.OnProduceRecordBuffered(r)
		hooks.OnProduceRecordUnbuffered(r, nil)
		got := kotel.NewRecordCarrier(r).Get("traceparent")
		if c.ends == "" && got != "" || !strings.HasSuffix(got, c.ends) || len(r.Headers) > 1 {
			t.Errorf("of a record of %s at %v traceparent is %q", c.topic, c.ratio, got)
		}
		_ = traces.Close()
	}
}

func TestPublishingWhatIsNotTracedDoesNotEndTheSpanItIsPublishedIn(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	traces := start(t, config.Tracing{Endpoint: down.URL, SampleRatio: 1}, slog.New(slog.DiscardHandler))
	ctx, s := traces.Tracer("x").Start(t.Context(), "x")
	r := &kgo.Record{Topic: string(schemas.TopicInteractions), Context: ctx}
	hooks := traces.producing("test")
	hooks.OnProduceRecordBuffered(r)
	hooks.OnProduceRecordUnbuffered(r, nil)
	if !s.IsRecording() {
		t.Error("it is ended")
	}
	s.End()
	_ = traces.Close()
}

// BenchmarkProduce is what tracing adds to each record that is produced.
func BenchmarkProduce(b *testing.B) {
	for name, ratio := range map[string]float64{"kept=0": 0, "kept=0.01": 0.01, "kept=1": 1} {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			defer server.Close()
			traces := start(b, config.Tracing{Endpoint: server.URL, SampleRatio: ratio}, slog.New(slog.DiscardHandler))
			hooks := traces.producing("bench")
			b.ReportAllocs()
			for b.Loop() {
				r := &kgo.Record{Topic: "cdds.interactions", Key: []byte("i"), Context: context.Background()}
				hooks.OnProduceRecordBuffered(r)
				hooks.OnProduceRecordUnbuffered(r, nil)
			}
			b.StopTimer()
			_ = traces.Close()
		})
	}
}
