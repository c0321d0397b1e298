package erasure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cdds/pipeline"
	"cdds/schemas"
)

// unattended are the erasures that wait for nothing that the watch knows of, and how far their
// topic reached when they were seen so first. Once everything below that is handled, nobody is at
// them. A stuck request keeps the others waiting, and none is published twice meanwhile.
type unattended map[pipeline.ErasureKey]schemas.Snapshot

// isLeft reports whether nobody is at an erasure.
func (u unattended) isLeft(key pipeline.ErasureKey, end, done schemas.Snapshot) bool {
	if _, seen := u[key]; !seen {
		u[key] = end
	}
	return below(u[key], end).Behind(done) == 0 // nobody handles what the log has lost since
}

// resume has erasures carried out that nobody is at, and sees to it that history shows those that
// have ended: a hold was released, or ClickHouse was lost or set back, or a process saved late
// what had changed since. It publishes their requests again: the one worker that reads them
// carries each out once, however many look. An error of one does not keep the others back.
func (h *Handler) resume(ctx context.Context, left unattended) error {
	done, err := h.Log.Handled(ctx, schemas.GroupErasure, schemas.TopicErasureRequests)
	if err != nil {
		return err
	}
	waiting, err := h.History.WaitingErasures(ctx)
	if err != nil {
		return err
	}
	shown := map[pipeline.ErasureKey]schemas.Erasure{}
	for _, e := range waiting {
		shown[pipeline.KeyOf(e.Request)] = e
	}
	// After that: what ends meanwhile is closed once history shows it.
	opened, err := h.Decisions.Opened(ctx)
	if err != nil {
		return err
	}
	end, err := h.Log.EndOffsets(ctx, schemas.TopicErasureRequests) // past the requests of all those
	if err != nil {
		return err
	}
	all := map[pipeline.ErasureKey]bool{}
	for _, key := range opened {
		all[key] = true
	}
	var failed []error
	for _, key := range inOrder(shown) {
		if all[key] {
			continue
		}
		ended, err := h.showEnded(ctx, key, shown[key])
		if all[key] = !ended; err != nil {
			all[key], failed = false, append(failed, of(key, err))
		}
	}
	maps.DeleteFunc(left, func(key pipeline.ErasureKey, _ schemas.Snapshot) bool { return !all[key] })
	for _, key := range inOrder(all) {
		if !all[key] {
			continue
		}
		held, err := h.isHeld(ctx, shown[key])
		if err == nil && !held && left.isLeft(key, end, done) {
			delete(left, key)
			err = h.goOn(ctx, key, shown[key])
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, of(key, err))
		}
	}
	return errors.Join(failed...)
}

func inOrder[V any](all map[pipeline.ErasureKey]V) []pipeline.ErasureKey {
	return slices.SortedFunc(maps.Keys(all), func(a, b pipeline.ErasureKey) int { return strings.Compare(a.String(), b.String()) })
}

func of(key pipeline.ErasureKey, err error) error { return fmt.Errorf("erasure %s: %w", key, err) }

// isHeld reports whether an erasure waits for a hold that was not released.
func (h *Handler) isHeld(ctx context.Context, shown schemas.Erasure) (bool, error) {
	if shown.State != schemas.ErasureHeld {
		return false, nil
	}
	holds, err := h.Holds.Held(ctx, shown.Request.TenantID)
	return holds.Has(shown.HoldID), err
}

// goOn shows how an erasure ended, or has it carried out.
func (h *Handler) goOn(ctx context.Context, key pipeline.ErasureKey, shown schemas.Erasure) error {
	if ended, err := h.showEnded(ctx, key, shown); ended || err != nil {
		return err
	}
	e, accepted, err := h.Decisions.Accepted(ctx, key)
	if err != nil {
		return err
	}
	if !accepted { // the bucket is a new one
		if e, accepted, err = h.History.Erasure(ctx, key.TenantID, key.ErasureID); err != nil || !accepted || e.Ended() || e.Restored() {
			return err
		}
	}
	return h.Publisher.Publish(ctx, &e.Request)
}
