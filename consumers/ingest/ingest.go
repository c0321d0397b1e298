// Package ingest stores interactions and contacts: batches of one partition become
// one insert each, and only an acknowledged insert lets offsets be committed.
//
// Metrics: cdds_ingest_rows_total{entity}, cdds_ingest_bytes_total{entity} (bodies),
// cdds_ingest_insert_seconds{entity}, cdds_ingest_freshness_seconds{entity} (from a
// record's Kafka timestamp to its being queryable, the oldest of each batch).
package ingest

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/schemas"
)

// The shape of batches: large enough for ClickHouse, small enough for memory and
// freshness.
const (
	MaxRecords = 20_000
	MaxBytes   = 12 << 20
	Linger     = 100 * time.Millisecond
)

// InteractionStore keeps interactions. Inserting a batch again must change nothing.
type InteractionStore interface {
	InsertInteractions(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error
}

// ContactStore keeps contacts. Inserting a batch again must change nothing.
type ContactStore interface {
	InsertContacts(ctx context.Context, b schemas.Batch[*schemas.Contact]) error
}

// Handler stores batches of one kind of event.
type Handler[E any] struct {
	insert  func(context.Context, schemas.Batch[E]) error
	bytes   func(E) int
	entity  string
	metrics *Metrics
}

// Interactions returns the handler of cdds.interactions.
func Interactions(s InteractionStore, m *Metrics) Handler[*schemas.Interaction] {
	return Handler[*schemas.Interaction]{s.InsertInteractions, func(e *schemas.Interaction) int { return len(e.Body) }, schemas.EntityInteraction, m}
}

// Contacts returns the handler of cdds.contacts.
func Contacts(s ContactStore, m *Metrics) Handler[*schemas.Contact] {
	return Handler[*schemas.Contact]{s.InsertContacts, func(e *schemas.Contact) int { return len(e.Body) }, schemas.EntityContact, m}
}

// Handle inserts a batch. An error means that nothing of it counts as stored.
func (h Handler[E]) Handle(ctx context.Context, b schemas.Batch[E]) error {
	if len(b.Records) == 0 {
		return nil
	}
	started := time.Now()
	if err := h.insert(ctx, b); err != nil {
		return err
	}
	bytes := 0
	for _, r := range b.Records {
		bytes += h.bytes(r.Event)
	}
	now := time.Now()
	h.metrics.rows.WithLabelValues(h.entity).Add(float64(len(b.Records)))
	h.metrics.bytes.WithLabelValues(h.entity).Add(float64(bytes))
	h.metrics.insertSeconds.WithLabelValues(h.entity).Observe(now.Sub(started).Seconds())
	h.metrics.freshness.WithLabelValues(h.entity).Observe(now.Sub(b.Records[0].Time.Time).Seconds())
	return nil
}

// Metrics are those of the ingest role.
type Metrics struct {
	rows, bytes              *prometheus.CounterVec
	insertSeconds, freshness *prometheus.HistogramVec
}

// NewMetrics registers the role's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	labels := []string{"entity"}
	seconds := func(name, help string) *prometheus.HistogramVec {
		return f.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.005, 3, 12), NativeHistogramBucketFactor: 1.1,
		}, labels)
	}
	return &Metrics{
		rows:          f.NewCounterVec(prometheus.CounterOpts{Name: "cdds_ingest_rows_total", Help: "Rows stored, repetitions included."}, labels),
		bytes:         f.NewCounterVec(prometheus.CounterOpts{Name: "cdds_ingest_bytes_total", Help: "Bytes of the bodies of stored rows."}, labels),
		insertSeconds: seconds("cdds_ingest_insert_seconds", "Duration of one insert."),
		freshness:     seconds("cdds_ingest_freshness_seconds", "From the Kafka timestamp of a batch's first record to its being queryable."),
	}
}
