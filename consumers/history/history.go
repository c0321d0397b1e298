// Package history keeps what happened to every export: the status events
// themselves, and one row per export that is their fold.
//
// # Metrics
//
//	cdds_history_events_total   status events stored, replays included
package history

import (
	"context"
	"fmt"
	"time"

	"cdds/consumers"
	"cdds/schemas"

	"github.com/prometheus/client_golang/prometheus"
)

// The shape of batches that suits history: people wait for these events, so they
// hardly linger.
const (
	MaxRecords = 1000
	Linger     = 20 * time.Millisecond
)

// Store keeps status events and exports.
type Store interface {
	// InsertStatus stores the whole batch or returns an error; it is idempotent by
	// position.
	InsertStatus(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error
	// StatusEvents returns the stored events of one export in any order, with or
	// without repetitions.
	StatusEvents(ctx context.Context, tenantID, exportID string) ([]*schemas.ExportStatus, error)
	// SaveExports replaces what is stored of each export, unless that was folded
	// from more events.
	SaveExports(ctx context.Context, exports []schemas.Export) error
}

// Handler stores status events; it is a consumers.Handler.
type Handler struct {
	store  Store
	events prometheus.Counter
	pace   pace
}

// New makes the handler of cdds.export.status and registers its metrics with reg,
// which may be nil.
func New(store Store, reg prometheus.Registerer) (*Handler, error) {
	events := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "cdds_history_events_total", Help: "Status events stored, replays included."})
	if reg != nil {
		var err error
		if events, err = consumers.Register(reg, events); err != nil {
			return nil, fmt.Errorf("history: register metrics: %w", err)
		}
	}
	return &Handler{store: store, events: events, pace: pace{at: make(map[id]mark)}}, nil
}

// Handle stores the events and then, for each export they are about, the fold of
// all its events. Storing again changes nothing: the events are the same by
// position, and Fold ignores order and repetition. The fold of an export of very many
// parts may lag behind its last parts by a sixty-fourth of them. Its errors are the
// store's.
func (h *Handler) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	if err := h.store.InsertStatus(ctx, b); err != nil {
		return fmt.Errorf("insert %s: %w", schemas.Counted(len(b.Records), "status event"), err)
	}
	var touched []id
	arrived := make(map[id][]*schemas.ExportStatus)
	for _, r := range b.Records {
		of := id{r.Event.TenantID, r.Event.ExportID}
		if arrived[of] == nil {
			touched = append(touched, of)
		}
		arrived[of] = append(arrived[of], r.Event)
	}
	exports := make([]schemas.Export, 0, len(touched))
	for _, of := range touched {
		if !h.pace.due(of, arrived[of]) {
			continue
		}
		events, err := h.store.StatusEvents(ctx, of.tenant, of.export)
		if err != nil {
			return fmt.Errorf("read the events of export %s of %s: %w", of.export, of.tenant, err)
		}
		// What just arrived counts even if a replica of the store does not show it yet.
		exports = append(exports, schemas.Fold(append(events, arrived[of]...)...))
	}
	if err := h.store.SaveExports(ctx, exports); err != nil {
		return fmt.Errorf("save %s: %w", schemas.Counted(len(exports), "export"), err)
	}
	h.pace.folded(exports)
	h.events.Add(float64(len(b.Records)))
	return nil
}
