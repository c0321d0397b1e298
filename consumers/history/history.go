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
	"slices"
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
	// without repetitions. Of events that store a part it has those of some parts, and the
	// tally of the others.
	StatusEvents(ctx context.Context, tenantID, exportID string, parts ...int) ([]*schemas.ExportStatus, schemas.Tally, error)
	// SaveArtifacts lists the artifacts of the parts that come with exports,
	// SaveAllArtifacts those of all stored parts of one.
	SaveArtifacts(ctx context.Context, exports []schemas.Export) error
	SaveAllArtifacts(ctx context.Context, e schemas.Export) error
	// Unfolded calls each with at most limit exports of a tenant, or of all if it is empty, of which
	// more events are stored than their fold has.
	Unfolded(ctx context.Context, tenantID string, limit int, each func(tenantID, exportID string) error) error
	// SaveExports replaces what is stored of each export, unless that was folded
	// from more events, and lists the artifacts as SaveArtifacts does.
	SaveExports(ctx context.Context, exports []schemas.Export) error
}

// Handler stores status events; it is a consumers.Handler.
type Handler struct {
	store  Store
	events prometheus.Counter
	pace   *pace
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
	return &Handler{store: store, events: events, pace: newPace()}, nil
}

// Handle stores the events and then, for each export they are about, the fold of
// all its events. Storing again changes nothing: the events are the same by
// position, and Fold ignores order and repetition. What it reads and writes of parts is
// those of the batch, and their sums; only an end reads all of an export's parts. The fold of
// an export of very many parts may lag behind its last parts by a sixty-fourth of them. Its
// errors are the store's.
func (h *Handler) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	if err := h.store.InsertStatus(ctx, b); err != nil {
		return fmt.Errorf("insert %s: %w", schemas.Counted(len(b.Records), "status event"), err)
	}
	h.pace.follow(b)
	var touched []id
	arrived := make(map[id][]*schemas.ExportStatus)
	for _, r := range b.Records {
		of := id{r.Event.TenantID, r.Event.ExportID}
		if arrived[of] == nil {
			touched = append(touched, of)
		}
		arrived[of] = append(arrived[of], r.Event)
	}
	var folded, growing []schemas.Export
	for _, of := range touched {
		if last, due := h.pace.due(of, arrived[of]); !due {
			growing = append(growing, grown(last, arrived[of]))
			continue
		}
		e, err := h.fold(ctx, of, arrived[of])
		if err != nil {
			return err
		}
		folded = append(folded, e)
	}
	if err := h.store.SaveArtifacts(ctx, growing); err != nil {
		return fmt.Errorf("list the artifacts of %s: %w", schemas.Counted(len(growing), "export"), err)
	}
	if err := h.store.SaveExports(ctx, folded); err != nil {
		return fmt.Errorf("save %s: %w", schemas.Counted(len(folded), "export"), err)
	}
	h.pace.folded(folded)
	h.events.Add(float64(len(b.Records)))
	return nil
}

// fold folds an export of which events arrived, and lists all its artifacts again if one of
// them changes what there is to say of those: when they expire, and that they are gone.
func (h *Handler) fold(ctx context.Context, of id, arrived []*schemas.ExportStatus) (schemas.Export, error) {
	var parts []int
	for _, s := range arrived {
		if s.StoresPart() {
			parts = append(parts, s.Part.Number)
		}
	}
	events, others, err := h.store.StatusEvents(ctx, of.tenant, of.export, parts...)
	if err != nil {
		return schemas.Export{}, fmt.Errorf("read the events of export %s of %s: %w", of.export, of.tenant, err)
	}
	// What just arrived counts even if a replica of the store does not show it yet.
	e := schemas.FoldOnto(others, append(events, arrived...)...)
	if slices.ContainsFunc(arrived, dates) && e.Done.Parts > len(e.Parts) {
		if err := h.store.SaveAllArtifacts(ctx, e); err != nil {
			return e, fmt.Errorf("list the artifacts of export %s of %s: %w", of.export, of.tenant, err)
		}
	}
	return e, nil
}

// dates reports whether an event may change when the artifacts of its export expire or were removed.
// Others, such as a retry that is refused, do not list them again: there may be 100,000.
func dates(s *schemas.ExportStatus) bool {
	return s.State == schemas.Completed || s.State == schemas.Expired || s.State == schemas.Deleted
}

// grown is an export that is at work, as it was folded last, with the parts that arrived since.
func grown(last schemas.Export, arrived []*schemas.ExportStatus) schemas.Export {
	last.Parts = nil
	for _, s := range schemas.Distinct(arrived...) {
		last.Parts, last.UpdatedAt = append(last.Parts, *s.Part), s.Time
	}
	return last
}
