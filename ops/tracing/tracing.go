// Package tracing sends OpenTelemetry traces over OTLP/HTTP and ties log lines to them.
//
// The roles know only the API: a span begins with a record that consumers.Group hands
// over (Tracer), or with a record that is produced (Kafka), and is continued through the
// context. What is not configured costs nothing: Start returns nil, whose methods give
// no tracer, no client options and the logger as it was.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"cdds/ops/config"
	"cdds/ops/connect"
)

const (
	// Of spans that wait, more are dropped: tracing never holds up what it traces.
	maxWaiting = 8192
	maxBatch   = 512
	sendEvery  = 2 * time.Second
	// sendTimeout bounds one batch, repetitions included; stopTimeout what is left when
	// the process ends.
	sendTimeout = 10 * time.Second
	stopTimeout = 5 * time.Second
	// maxText bounds each text of a span, in bytes.
	maxText = 512
)

// Process says whose spans these are.
type Process struct {
	// Name tells this process apart, such as host and process id.
	Name string
	// Roles it runs.
	Roles []string
}

// Traces is where the spans of this process go. A nil one is off.
type Traces struct {
	provider *sdktrace.TracerProvider
	ratio    float64 // of traces that begin here
}

// Start returns what sends the spans of this process, nil where none is configured. It
// connects when there is something to send: a receiver that is down is no error, and is
// told to log. The caller calls Close.
func Start(c config.Tracing, p Process, log *slog.Logger) (*Traces, error) {
	if !c.Enabled() {
		return nil, nil
	}
	u, err := c.URL()
	if err != nil {
		return nil, err
	}
	headers, err := c.HeaderMap()
	if err != nil {
		return nil, err
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(u.String()), otlptracehttp.WithHeaders(headers),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithTimeout(sendTimeout),
	}
	if u.Scheme == "https" {
		t, err := connect.TLS(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("tracing.tls: %w", err)
		}
		options = append(options, otlptracehttp.WithTLSClientConfig(t))
	}
	exporter, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	told := &told{log: log}
	otel.SetErrorHandler(told) // the library has but this one for the process
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxText
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithMaxExportBatchSize(maxBatch),
			sdktrace.WithBatchTimeout(sendEvery), sdktrace.WithExportTimeout(sendTimeout)),
		sdktrace.WithSampler(sdktrace.ParentBased(sampler{sdktrace.TraceIDRatioBased(c.SampleRatio)})),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithResource(resource.NewSchemaless(
			semconv.ServiceName("cdds"), semconv.ServiceInstanceID(p.Name),
			attribute.StringSlice("cdds.roles", p.Roles),
		)),
	)
	return &Traces{provider, c.SampleRatio}, nil
}

// Tracer makes the spans of a role; nil where tracing is off.
func (t *Traces) Tracer(role string) trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("cdds", trace.WithInstrumentationAttributes(attribute.String("cdds.role", role)))
}

// Close sends what waits, for up to 5 seconds.
func (t *Traces) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil // a receiver that is down does not fail the process
}

// told logs the library's problems, such as a receiver that is down: once a minute.
type told struct {
	log  *slog.Logger
	last atomic.Int64
}

// Handle implements otel.ErrorHandler.
func (t *told) Handle(err error) {
	now, last := time.Now().UnixNano(), t.last.Load()
	if last != 0 && now-last < int64(time.Minute) || !t.last.CompareAndSwap(last, now) {
		return
	}
	t.log.Warn("traces are lost; see that tracing.endpoint is reachable and takes OTLP/HTTP", "error", err)
}
