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
	active         prometheus.Gauge
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
		active: f.NewGauge(prometheus.GaugeOpts{Name: "cdds_export_active", Help: "Exports this worker has in hand."}),
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

// watchOldest tells how long the oldest export in hand has been there.
func (m *metrics) watchOldest(reg prometheus.Registerer, age func() time.Duration) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cdds_export_oldest_seconds", Help: "How long the oldest export in hand has been there, waiting included; 0 where there is none.",
	}, func() float64 { return age().Seconds() })
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

// watchWaiting tells how many parts wait for a slot.
func watchWaiting(reg prometheus.Registerer, waiting func() int) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cdds_export_waiting_parts", Help: "Parts that wait for a slot of this worker.",
	}, func() float64 { return float64(waiting()) })
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
