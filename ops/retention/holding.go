package retention

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"

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
	// Remains is List with the keys of which only older versions are left.
	Remains(ctx context.Context, prefix string) ([]bucket.Object, error)
	// PutBytes is bucket.ErrExists if the key is taken.
	PutBytes(ctx context.Context, key string, content []byte, contentType string) error
	Remove(ctx context.Context, key string) error
	// Hold takes an object out of what the store removes by age, or puts it back, and locks it as
	// Lock does. Lock has a store with Object Lock keep an object whoever removes it, or let it go.
	// Both are safe to repeat, and bucket.ErrNotFound if none exists.
	Hold(ctx context.Context, key string, held bool) error
	Lock(ctx context.Context, key string, held bool) error
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
// asks for holds first, but the store's own rule, which is the backstop, goes by age alone; and
// where the bucket has Object Lock nobody else removes them either. With Registerer it has
//
//	cdds_holding_exports         held exports whose files are marked in the store as held, as of the last pass
//	cdds_holding_failures_total  passes that failed; the next one goes on
type Holding struct {
	HoldingOptions
	exports  prometheus.Gauge
	failures prometheus.Counter
	// kept is which files of each export are marked as held.
	kept map[[2]string][sha256.Size]byte
}

// NewHolding returns a Holding. It starts nothing.
func NewHolding(o HoldingOptions) *Holding {
	f := promauto.With(o.Registerer)
	return &Holding{
		HoldingOptions: o, kept: map[[2]string][sha256.Size]byte{},
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
	if err != nil {
		return err
	}
	all := digestOf(files)
	if is, told := h.kept[export]; told && is == all || !told && len(files) == 0 {
		return nil
	}
	// First, so that whoever lets them go knows of them.
	if err := h.Store.PutBytes(ctx, heldKey(export), []byte("{}"), schemas.ContentTypeJSON); err != nil && !errors.Is(err, bucket.ErrExists) {
		return err
	}
	if err := h.mark(ctx, files, true); err != nil {
		return fmt.Errorf("keep the files of export %s of %s, which are held: %w", export[1], export[0], err)
	}
	h.kept[export] = all
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
	return pipeline.Unseen(h.Store.Remove(ctx, heldKey(export)))
}

// files are the objects of an export that a hold keeps.
func (h *Holding) files(ctx context.Context, export [2]string) (files []bucket.Object, err error) {
	objects, err := h.Store.Remains(ctx, schemas.ExportPrefix(export[0], export[1]))
	for _, o := range objects {
		if schemas.IsArtifact(export[1], nameOf(o)) {
			files = append(files, o)
		}
	}
	return files, err
}

// digestOf tells files apart from others, and from later versions of them.
func digestOf(files []bucket.Object) [sha256.Size]byte {
	var all []byte
	for _, o := range files {
		all = fmt.Appendf(all, "%q %d %d\n", o.Key, o.Size, o.Modified.UnixNano())
	}
	return sha256.Sum256(all)
}

const (
	// marking is how many files are marked in the store at once.
	marking = 16
	// failuresAtOnce is how many files of an export may fail before the rest is left to the next
	// pass.
	failuresAtOnce = 16
)

// mark has the store keep files, or lets them go. Some may be gone meanwhile. One that fails does
// not keep the others from being marked.
func (h *Holding) mark(ctx context.Context, files []bucket.Object, held bool) error {
	var mu sync.Mutex
	var failed []error
	var group errgroup.Group
	group.SetLimit(marking)
	for _, o := range files {
		mu.Lock()
		enough := len(failed) >= failuresAtOnce
		mu.Unlock()
		if enough || ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			do := h.Store.Hold
			if order(o) == 0 { // manifest and signature, which no rule of ours removes
				do = h.Store.Lock
			}
			if err := do(ctx, o.Key, held); err != nil && !errors.Is(err, bucket.ErrNotFound) {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = group.Wait()
	var problems problems
	for _, err := range append(failed, ctx.Err()) {
		problems.add(err)
	}
	return problems.err()
}
