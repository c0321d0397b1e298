package definitions

import (
	"context"
	"fmt"
	"slices"

	"cdds/schemas"
)

// Held returns the active holds of a tenant, as of now, the oldest first: every hold that was
// acknowledged before the call is known. Whatever removes rows or files asks it before it does,
// and removes nothing if it fails.
func (d *Definitions) Held(ctx context.Context, tenantID string) (schemas.Holds, error) {
	if err := d.asOfNow(ctx); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(d.Holds(tenantID), func(h schemas.Hold) bool { return !h.Active() }), nil
}

// HeldExports returns the tenants and ids of the exports whose files active holds name, as of now
// as Held does, in order.
func (d *Definitions) HeldExports(ctx context.Context) (all [][2]string, err error) {
	if err := d.asOfNow(ctx); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for k, h := range d.holds {
		if !h.value.Active() {
			continue
		}
		for _, id := range h.value.Exports {
			all = append(all, [2]string{k.tenantID, id})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(all), nil
}

// asOfNow returns once every hold is known that was acknowledged before the call.
func (d *Definitions) asOfNow(ctx context.Context) error {
	if err := d.Sync(ctx); err != nil {
		return fmt.Errorf("which holds there are is not known: %w", err)
	}
	if err := d.Ready(); err != nil {
		return fmt.Errorf("which holds there are is not known: %w", err)
	}
	return nil
}

// Holds returns a tenant's holds, released ones included, the oldest first.
func (d *Definitions) Holds(tenantID string) schemas.Holds {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all schemas.Holds
	for k, h := range d.holds {
		if k.tenantID == tenantID {
			all = append(all, h.value)
		}
	}
	slices.SortFunc(all, schemas.OldestHoldFirst)
	return all
}

// Hold returns a tenant's hold, also a released one; false if there never was one.
func (d *Definitions) Hold(tenantID, holdID string) (schemas.Hold, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	h, ok := d.holds[key{tenantID, holdID}]
	return h.value, ok
}
