// Package ingest stores interactions and contacts: the handlers that stand between
// their topics and their tables.
//
// A row carries the position of its record, so storing a batch again stores the
// same rows (exactly once in effect).
//
// # Metrics
//
//	cdds_ingest_rows_total{entity}          rows stored, replays included
//	cdds_ingest_bytes_total{entity}         JSON bytes of these rows
//	cdds_ingest_insert_seconds{entity}      duration of one insert that succeeded
//	cdds_ingest_freshness_seconds{entity}   age of an insert's oldest record when it is stored
//	cdds_tenant_ingest_rows_total{tenant}   rows stored, by tenant; see consumers.Tenants for the bound
package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cdds/consumers"
	"cdds/pipeline/spans"
	"cdds/schemas"

	"github.com/prometheus/client_golang/prometheus"
)

// The shape of inserts that suits ClickHouse: few large ones while catching up, and
// rows that can be read a moment after they were published.
const (
	MaxRecords = 20_000
	MaxBytes   = 16 << 20
	Linger     = 100 * time.Millisecond
)

// Interactions stores interactions. InsertInteractions stores all batches or returns an
// error, and is idempotent by position.
type Interactions interface {
	InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error
}

// Contacts stores contacts. InsertContacts stores all batches or returns an error, and
// is idempotent by position.
type Contacts interface {
	InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error
}

// Handler stores the batches of one entity; it is a consumers.Handler. Batches of
// several partitions that come together are one insert.
type Handler[E any] struct {
	insert  func(context.Context, ...schemas.Batch[E]) error
	bytes   func(E) int
	tenant  func(E) string
	metrics metrics
	// inserting bounds the inserts under way: each holds its rows several times over
	// while they are encoded, and ClickHouse gains nothing from more.
	inserting chan struct{}
	turn      chan struct{} // held by a small insert

	mu   sync.Mutex
	open *joint[E] // the insert that still takes batches
	// failed are the partitions whose last insert did: they go alone until one succeeds,
	// so that what ClickHouse refuses of one holds up no other.
	failed map[int32]bool
}

// maxInserts is how many inserts of an entity are under way at once.
const maxInserts = 2

// NewInteractions makes the handler of cdds.interactions. It registers the metrics
// with reg, which may be shared with NewContacts or nil.
func NewInteractions(store Interactions, reg prometheus.Registerer) (*Handler[*schemas.Interaction], error) {
	m, err := newMetrics(reg, schemas.EntityInteraction)
	return &Handler[*schemas.Interaction]{
		insert:  store.InsertInteractions,
		bytes:   func(i *schemas.Interaction) int { return len(i.Body) },
		tenant:  func(i *schemas.Interaction) string { return i.TenantID },
		metrics: m, inserting: make(chan struct{}, maxInserts), turn: make(chan struct{}, 1), failed: map[int32]bool{},
	}, err
}

// NewContacts makes the handler of cdds.contacts. It registers the metrics with
// reg, which may be shared with NewInteractions or nil.
func NewContacts(store Contacts, reg prometheus.Registerer) (*Handler[*schemas.Contact], error) {
	m, err := newMetrics(reg, schemas.EntityContact)
	return &Handler[*schemas.Contact]{
		insert:  store.InsertContacts,
		bytes:   func(c *schemas.Contact) int { return len(c.Body) },
		tenant:  func(c *schemas.Contact) string { return c.TenantID },
		metrics: m, inserting: make(chan struct{}, maxInserts), turn: make(chan struct{}, 1), failed: map[int32]bool{},
	}, err
}

// Handle stores the batch. Its errors are the store's.
func (h *Handler[E]) Handle(ctx context.Context, b schemas.Batch[E]) error {
	if len(b.Records) == 0 {
		return nil
	}
	if err := h.stored(ctx, b); err != nil {
		return fmt.Errorf("insert %s of %s partition %d from offset %d: %w", schemas.Counted(len(b.Records), "row"), b.Topic, b.Partition, b.First, err)
	}
	return nil
}

// store inserts what joined and notes what it was.
func (h *Handler[E]) store(ctx context.Context, j *joint[E]) error {
	begin := time.Now()
	if err := h.insert(ctx, j.batches...); err != nil {
		return err
	}
	spans.Observe(ctx, h.metrics.seconds, time.Since(begin).Seconds())
	oldest, tenants := j.batches[0].Records[0].Time, map[string]int{}
	for _, b := range j.batches {
		for _, r := range b.Records {
			tenants[h.tenant(r.Event)]++
			if r.Time.Before(oldest.Time) {
				oldest = r.Time
			}
		}
	}
	h.metrics.rows.Add(float64(j.records))
	h.metrics.bytes.Add(float64(j.bytes))
	for tenant, rows := range tenants {
		h.metrics.byTenant.Add(tenant, float64(rows))
	}
	// A producer's clock may be ahead of ours.
	h.metrics.freshness.Observe(max(0, time.Since(oldest.Time).Seconds()))
	return nil
}

// size is the JSON bytes of the batch.
func (h *Handler[E]) size(b schemas.Batch[E]) (bytes int) {
	for _, r := range b.Records {
		bytes += h.bytes(r.Event)
	}
	return bytes
}

type metrics struct {
	rows, bytes        prometheus.Counter
	seconds, freshness prometheus.Observer
	byTenant           *consumers.Tenants
}

func newMetrics(reg prometheus.Registerer, entity string) (metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	labels := []string{"entity"}
	rows, err1 := consumers.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cdds_ingest_rows_total", Help: "Rows stored, replays included."}, labels))
	bytes, err2 := consumers.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cdds_ingest_bytes_total", Help: "JSON bytes of the rows stored."}, labels))
	seconds, err3 := consumers.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cdds_ingest_insert_seconds", Help: "Duration of one insert that succeeded.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2, 12), NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, labels))
	freshness, err4 := consumers.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cdds_ingest_freshness_seconds", Help: "Age of an insert's oldest record when it is stored.",
		Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400}, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, labels))
	byTenant, err5 := consumers.Register(reg, consumers.NewTenants("cdds_tenant_ingest_rows_total", "Rows stored, replays included, by tenant."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return metrics{}, fmt.Errorf("ingest: register metrics: %w", err)
	}
	return metrics{
		rows:      rows.WithLabelValues(entity),
		bytes:     bytes.WithLabelValues(entity),
		seconds:   seconds.WithLabelValues(entity),
		freshness: freshness.WithLabelValues(entity),
		byTenant:  byTenant,
	}, nil
}
