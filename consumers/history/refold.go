package history

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"cdds/schemas"
)

// RefoldEvery is the pause between looks for exports that are to be folded again.
const RefoldEvery = 10 * time.Minute

// refoldedAtOnce bounds how many exports are held at once.
const refoldedAtOnce = 1000

// KeepFolded folds exports again of which history has more events than their fold, at once and
// then at intervals, until ctx ends; it then returns nil. Events count as there once they are
// stored, and their folds come after: a process that ended in between, one that stored events
// late, and a backup of one table a moment before the other leave this, and nothing is read
// again then.
func (h *Handler) KeepFolded(ctx context.Context, every time.Duration, log *slog.Logger) error {
	for {
		n, err := h.Refold(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			log.Warn("cannot look for exports that history shows without their last events; the next look goes on", "error", err)
		case n > 0:
			log.Warn("history showed exports without their last events; it shows them again", "exports", n)
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return nil
		}
	}
}

// Refold folds those exports again, and returns how many there were.
func (h *Handler) Refold(ctx context.Context) (n int, err error) {
	for {
		var some []id
		err := h.store.Unfolded(ctx, "", refoldedAtOnce, func(tenantID, exportID string) error {
			some = append(some, id{tenantID, exportID})
			return nil
		})
		if err != nil {
			return n, fmt.Errorf("look for exports that are not folded: %w", err)
		}
		for _, of := range some {
			events, parts, err := h.store.StatusEvents(ctx, of.tenant, of.export)
			if err != nil {
				return n, fmt.Errorf("read the events of export %s of %s: %w", of.export, of.tenant, err)
			}
			e := schemas.FoldOnto(parts, events...)
			if err := h.store.SaveAllArtifacts(ctx, e); err != nil {
				return n, fmt.Errorf("list the artifacts of export %s of %s: %w", of.export, of.tenant, err)
			}
			if err := h.store.SaveExports(ctx, []schemas.Export{e}); err != nil {
				return n, fmt.Errorf("save export %s of %s: %w", of.export, of.tenant, err)
			}
			n++
		}
		if len(some) < refoldedAtOnce {
			return n, nil
		}
	}
}
