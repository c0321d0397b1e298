// Package history projects status events into what admins read: it stores each event
// once and keeps the fold of every export's events up to date.
//
// Metric: cdds_history_events_total counts events stored, repetitions included.
package history

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/schemas"
)

// The shape of batches: people wait for what they show.
const (
	MaxRecords = 2_000
	Linger     = 10 * time.Millisecond
)

// Store keeps events and folds.
type Store interface {
	// InsertStatus stores events; storing one again changes nothing.
	InsertStatus(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error
	// StatusEvents returns every event of an export stored so far.
	StatusEvents(ctx context.Context, tenantID, exportID string) ([]*schemas.ExportStatus, error)
	// SaveExports replaces folds by those of at least as many events.
	SaveExports(ctx context.Context, exports []schemas.Export) error
}

// Projector handles batches of cdds.export.status.
type Projector struct {
	store  Store
	events prometheus.Counter
}

// New returns a Projector that registers its metrics with reg.
func New(s Store, reg prometheus.Registerer) *Projector {
	return &Projector{s, promauto.With(reg).NewCounter(prometheus.CounterOpts{
		Name: "cdds_history_events_total", Help: "Status events stored, repetitions included."})}
}

// Handle stores a batch and folds the exports it touches anew from all their events.
// Handling a batch again gives the same history.
func (p *Projector) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	if err := p.store.InsertStatus(ctx, b); err != nil {
		return err
	}
	type key struct{ tenantID, exportID string }
	seen := map[key]bool{}
	var folded []schemas.Export
	for _, r := range b.Records {
		k := key{r.Event.TenantID, r.Event.ExportID}
		if seen[k] {
			continue
		}
		seen[k] = true
		events, err := p.store.StatusEvents(ctx, k.tenantID, k.exportID)
		if err != nil {
			return err
		}
		folded = append(folded, schemas.Fold(events...))
	}
	p.events.Add(float64(len(b.Records)))
	return p.store.SaveExports(ctx, folded)
}
