package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// HeldExports knows the exports whose files may not go; *definitions.Definitions does.
type HeldExports interface {
	// HeldExports returns the tenants and ids of the exports whose files active holds name, as of
	// now.
	HeldExports(ctx context.Context) ([][2]string, error)
}

// Expiring is a store that removes files by age itself; *bucket.Bucket is one.
type Expiring interface {
	List(ctx context.Context, prefix string) ([]bucket.Object, error)
	// PutBytes is bucket.ErrExists if the key is taken.
	PutBytes(ctx context.Context, key string, content []byte, contentType string) error
	Remove(ctx context.Context, key string) error
	// Hold takes an object out of what the store removes by age, or puts it back. It is safe to
	// repeat, and bucket.ErrNotFound if none exists.
	Hold(ctx context.Context, key string, held bool) error
}

// HoldingOptions of a Holding; all are required but Registerer.
type HoldingOptions struct {
	Holds HeldExports
	Store Expiring
	// Every is the pause between passes.
	Every      time.Duration
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Holding has the store itself keep the files of exports that holds name. Whoever removes files
// asks for holds first, but the store's own rule, which is the backstop, goes by age alone. With
// Registerer it has
//
//	cdds_holding_exports         held exports whose files are marked in the store as held, as of the last pass
//	cdds_holding_failures_total  passes that failed; the next one goes on
type Holding struct {
	HoldingOptions
	exports  prometheus.Gauge
	failures prometheus.Counter
	// kept is how many files of each export are marked as held.
	kept map[[2]string]int
}

// NewHolding returns a Holding. It starts nothing.
func NewHolding(o HoldingOptions) *Holding {
	f := promauto.With(o.Registerer)
	return &Holding{
		HoldingOptions: o, kept: map[[2]string]int{},
		exports: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_holding_exports", Help: "Held exports whose files are marked in the store as held, as of the last pass."}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "cdds_holding_failures_total", Help: "Passes that tell the store which files are held and failed; the next one goes on."}),
	}
}

// Run makes a pass at once and then at intervals, until ctx ends; it then returns nil.
func (h *Holding) Run(ctx context.Context) error {
	for {
		if err := h.Pass(ctx); err != nil && ctx.Err() == nil {
			h.failures.Inc()
			h.Logger.Error("some held files could not be tagged; the next pass tries again", "error", err)
		}
		select {
		case <-time.After(h.Every):
		case <-ctx.Done():
			return nil
		}
	}
}

// heldPrefix is the folder with an object for each export whose files are marked as held. Once
// the export is released, the mark is removed.
const heldPrefix = pipeline.Reserved + "held/"

func heldKey(export [2]string) string { return heldPrefix + export[0] + "/" + export[1] }

// Pass tells the store which files to keep, and which may go again. Files that an export at work
// stores later are for the next pass: nothing goes by age as soon as that. What fails for one
// export does not keep the rest from being done; the error joins all.
func (h *Holding) Pass(ctx context.Context) error {
	// Before the holds: what is there then and is not held may go.
	objects, err := h.Store.List(ctx, heldPrefix)
	if err != nil {
		return err
	}
	held, err := h.Holds.HeldExports(ctx)
	if err != nil {
		return err
	}
	told := map[[2]string]bool{}
	for _, o := range objects {
		if tenant, id, ok := strings.Cut(strings.TrimPrefix(o.Key, heldPrefix), "/"); ok {
			told[[2]string{tenant, id}] = true
		}
	}
	var problems problems
	for _, export := range held {
		if !told[export] { // not told yet, or another process let them go since
			delete(h.kept, export)
		}
		delete(told, export)
		if problems.add(h.keep(ctx, export)); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for export := range told {
		problems.add(h.letGo(ctx, export))
	}
	h.exports.Set(float64(len(h.kept)))
	return problems.err()
}

// keep marks the files of an export as held, unless all of them are.
func (h *Holding) keep(ctx context.Context, export [2]string) error {
	files, err := h.files(ctx, export)
	if err != nil || len(files) == h.kept[export] {
		return err
	}
	// First, so that whoever lets them go knows of them.
	if err := h.Store.PutBytes(ctx, heldKey(export), []byte("{}"), schemas.ContentTypeJSON); err != nil && !errors.Is(err, bucket.ErrExists) {
		return err
	}
	if err := h.mark(ctx, files, true); err != nil {
		return fmt.Errorf("keep the files of export %s of %s, which are held: %w", export[1], export[0], err)
	}
	h.kept[export] = len(files)
	h.Logger.Info("the store keeps the files of an export that is held", "tenant", export[0], "export_id", export[1], "files", len(files))
	return nil
}

// letGo tells the store that the files of an export may go.
func (h *Holding) letGo(ctx context.Context, export [2]string) error {
	delete(h.kept, export)
	files, err := h.files(ctx, export)
	if err != nil {
		return err
	}
	if err := h.mark(ctx, files, false); err != nil {
		return fmt.Errorf("let the files of export %s of %s go, which are held no longer: %w", export[1], export[0], err)
	}
	return h.Store.Remove(ctx, heldKey(export))
}

// files are the objects of an export that the store removes by age: all but manifest and signature.
func (h *Holding) files(ctx context.Context, export [2]string) (keys []string, err error) {
	objects, err := h.Store.List(ctx, schemas.ExportPrefix(export[0], export[1]))
	for _, o := range objects {
		if schemas.IsArtifact(export[1], nameOf(o)) && order(o) > 0 {
			keys = append(keys, o.Key)
		}
	}
	return keys, err
}

// mark has the store keep objects, or lets them go. Some may be gone meanwhile.
func (h *Holding) mark(ctx context.Context, keys []string, held bool) error {
	for _, key := range keys {
		if err := h.Store.Hold(ctx, key, held); err != nil && !errors.Is(err, bucket.ErrNotFound) {
			return err
		}
	}
	return nil
}
