package export

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/consumers"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// metrics of the export role, all prefixed cdds_export_.
type metrics struct {
	ended          *prometheus.CounterVec
	parts          prometheus.Counter
	rows           prometheus.Counter
	attachments    prometheus.Counter
	problems       prometheus.Counter
	bytes          *prometheus.CounterVec
	partSeconds    prometheus.Histogram
	exportSeconds  prometheus.Histogram
	barrierSeconds prometheus.Histogram
	failures       *prometheus.CounterVec
	retries        *prometheus.CounterVec
	looks          *prometheus.CounterVec
	tenantEnded    *consumers.Tenants // by state
	tenantRows     *consumers.Tenants
	tenantBytes    *consumers.Tenants
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	seconds := func(name, help string) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.01, 3, 12),
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		})
	}
	m := &metrics{
		looks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_export_looks_total", Help: "Times it was asked how far ingest is, for all exports that wait for it."}, []string{"topic"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_export_ended_total", Help: "Exports that ended on this worker, by state."}, []string{"state"}),
		parts:       f.NewCounter(prometheus.CounterOpts{Name: "cdds_export_parts_total", Help: "Parts stored or adopted."}),
		rows:        f.NewCounter(prometheus.CounterOpts{Name: "cdds_export_rows_total", Help: "Rows in stored parts."}),
		attachments: f.NewCounter(prometheus.CounterOpts{Name: "cdds_export_attachments_total", Help: "Attachments listed in stored parts."}),
		problems: f.NewCounter(prometheus.CounterOpts{
			Name: "cdds_export_attachment_problems_total", Help: "Attachments listed without their content: missing, or not what their event says."}),
		bytes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_export_bytes_total", Help: "Bytes of stored parts, by layer: jsonl, attachments, zip, sealed."}, []string{"layer"}),
		partSeconds:    seconds("cdds_export_part_seconds", "Time from a part's slot to its being stored."),
		exportSeconds:  seconds("cdds_export_seconds", "Time from planning an export to its manifest."),
		barrierSeconds: seconds("cdds_export_barrier_seconds", "Time an export waited for ingest."),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_export_failures_total", Help: "Exports given up, by stage."}, []string{"stage"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_export_retries_total", Help: "Steps tried again, by step."}, []string{"step"}),
		tenantEnded: consumers.NewTenants("cdds_tenant_export_ended_total", "Exports that ended on this worker, by tenant and state.", "state"),
		tenantRows:  consumers.NewTenants("cdds_tenant_export_rows_total", "Rows in stored parts, by tenant."),
		tenantBytes: consumers.NewTenants("cdds_tenant_export_sealed_bytes_total", "Sealed bytes of stored parts, by tenant."),
	}
	if reg != nil {
		reg.MustRegister(m.tenantEnded, m.tenantRows, m.tenantBytes)
	}
	// A series that appears with its first event hides that event from rate().
	for _, state := range []schemas.State{schemas.Completed, schemas.Failed, schemas.Cancelled, schemas.Refused} {
		m.ended.WithLabelValues(string(state))
	}
	for _, stage := range []string{"accept", "barrier", "plan", "part", "manifest"} {
		m.failures.WithLabelValues(stage)
	}
	return m
}

// watch has the gauges of what a worker has to do.
func (m *metrics) watch(reg prometheus.Registerer, w *Worker) {
	f := promauto.With(reg)
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	gauge("cdds_export_active", "Exports this worker has in hand.", nil, func() float64 { return float64(w.count(inHand)) })
	for of, p := range map[string]place{"ingest": waiting, "turn": ready} {
		gauge("cdds_export_waiting", "Open exports of this worker's partitions that are not in hand, by what they wait for: ingest, turn.",
			prometheus.Labels{"for": of}, func() float64 { return float64(w.count(p)) })
	}
	gauge("cdds_export_oldest_seconds", "Age of the oldest open export in this worker's partitions; 0 without one.", nil,
		func() float64 { return w.oldest().Seconds() })
	gauge("cdds_export_waiting_parts", "Parts that wait for a slot of this worker.", nil, func() float64 { return float64(w.slots.length()) })
}

// count is how many open exports are in a place.
func (w *Worker) count(p place) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queue.count()[p]
}

// oldest is how long the oldest open export has been open.
func (w *Worker) oldest() (oldest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.queue.all {
		oldest = max(oldest, w.Now().Sub(e.since))
	}
	return oldest
}

// begin makes the series of a tenant, before the first event that would be hidden.
func (m *metrics) begin(tenantID string) {
	for _, state := range []schemas.State{schemas.Completed, schemas.Failed, schemas.Cancelled} {
		m.tenantEnded.Add(tenantID, 0, string(state))
	}
}

// end counts an export that ended.
func (m *metrics) end(tenantID string, state schemas.State) {
	m.ended.WithLabelValues(string(state)).Inc()
	m.tenantEnded.Add(tenantID, 1, string(state))
}

func (m *metrics) stored(ctx context.Context, tenantID string, r schemas.Receipt, took time.Duration) {
	m.parts.Inc()
	if r.Kind == schemas.KindAttachments {
		m.attachments.Add(float64(r.Rows))
		m.problems.Add(float64(r.Problems))
		m.bytes.WithLabelValues("attachments").Add(float64(r.Bytes))
	} else {
		m.rows.Add(float64(r.Rows))
		m.tenantRows.Add(tenantID, float64(r.Rows))
		m.bytes.WithLabelValues("jsonl").Add(float64(r.Bytes))
	}
	m.bytes.WithLabelValues("zip").Add(float64(r.ZipBytes))
	m.bytes.WithLabelValues("sealed").Add(float64(r.SealedBytes))
	m.tenantBytes.Add(tenantID, float64(r.SealedBytes))
	spans.Observe(ctx, m.partSeconds, took.Seconds())
}
