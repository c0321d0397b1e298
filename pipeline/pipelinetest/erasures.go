package pipelinetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"cdds/schemas"
)

// Erasure is how an erasure stands, as package ledger has it.
func (w *Warehouse) Erasure(_ context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, known := w.erasures[(&schemas.ErasureRequest{TenantID: tenantID, ErasureID: erasureID}).ID()]
	return e.Erasure, known, nil
}

// ErasureVersion is as of when to save what is known of an erasure now: later than what is saved.
func (w *Warehouse) ErasureVersion(_ context.Context, e schemas.Erasure, now time.Time) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	version := now.Truncate(time.Millisecond)
	if next := w.erasures[e.Request.ID()].saved.Add(time.Millisecond); version.Before(next) {
		version = next
	}
	return version, nil
}

// SaveErasure replaces what is known of an erasure, but for what was saved as of later.
func (w *Warehouse) SaveErasure(_ context.Context, e schemas.Erasure, version time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, known := w.erasures[e.Request.ID()]; !known || before.remembered || !version.Before(before.saved) {
		w.erasures[e.Request.ID()] = savedErasure{e, version, false}
	}
	return nil
}

// RememberErasure says that an erasure is done of which nothing is known.
func (w *Warehouse) RememberErasure(_ context.Context, e schemas.Erasure, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.erasures[e.Request.ID()]; !known {
		w.erasures[e.Request.ID()] = savedErasure{e, now.Truncate(time.Millisecond), true}
	}
	return nil
}

// Erasures are the erasures that is selects, in order of when they were saved.
func (w *Warehouse) Erasures(is func(e schemas.Erasure, saved time.Time) bool) (all []schemas.Erasure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range slices.SortedFunc(maps.Keys(w.erasures), func(a, b string) int {
		return cmp.Or(w.erasures[a].saved.Compare(w.erasures[b].saved), cmp.Compare(a, b))
	}) {
		if e := w.erasures[id]; is(e.Erasure, e.saved) {
			all = append(all, e.Erasure)
		}
	}
	return all
}
