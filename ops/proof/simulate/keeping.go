package simulate

import (
	"context"
	"slices"
	"time"

	"cdds/schemas"
)

// kept is how long an operator keeps the history of an entity of a tenant.
type kept struct {
	// from is before when it is kept no longer, step since when an operator wants that.
	from schemas.Time
	step int
	// aged is before when rows were removed.
	aged schemas.Time
}

// keepLess is an operator who keeps the history of a tenant for a year less.
func (w *world) keepLess(a, b, c int) bool {
	of := entityOf{tenant(a), schemas.EntityOf(w.source(c).of())}
	k := w.model.kept[of]
	from := schemas.TimeOf(time.Date(firstYear+1+b%(years-1), 1, 1, 0, 0, 0, 0, time.UTC))
	if from.Compare(k.from) <= 0 {
		return false
	}
	if w.model.kept == nil {
		w.model.kept = map[entityOf]kept{}
	}
	w.model.kept[of] = kept{from, w.steps, k.aged}
	return true
}

// age removes what is kept no longer, where there is no hold. A grace of a day comes first: no export is at work that
// was accepted before.
func (w *world) age(a, b, _ int) bool {
	of := entityOf{tenant(a), schemas.EntityOf(w.source(b).of())}
	k := w.model.kept[of]
	if k.from.IsZero() || len(w.activeHolds(of.tenant)) > 0 {
		return false
	}
	if w.rest(restLimit); slices.ContainsFunc(w.model.exports, func(x *asked) bool {
		return x.request.TenantID == of.tenant && x.step <= k.step && !x.lost && !over(w.fold(x).State)
	}) {
		return false
	}
	if n, err := w.tables.Age(context.Background(), of.tenant, of.entity, k.from.Time, w.now()); err != nil || n == 0 {
		return false
	}
	k.aged = k.from
	w.model.kept[of] = k
	return true
}

// historyFrom is when the rows of a tenant begin that are kept, as package connect says.
func (p *process) historyFrom(ctx context.Context, tenantID, entity string) (schemas.Time, error) {
	from, err := tables{p}.AgedBefore(ctx, tenantID, entity)
	if policy := p.w.model.kept[entityOf{tenantID, entity}].from; err == nil && policy.Compare(from) > 0 {
		return policy, nil
	}
	return from, err
}

// AgedBefore is before when rows of a tenant were removed for their age.
func (t tables) AgedBefore(ctx context.Context, tenantID, entity string) (at schemas.Time, err error) {
	err = t.p.ask(ctx, atClickHouse, "aged before", func() (err error) { at, err = t.p.w.tables.AgedBefore(ctx, tenantID, entity); return err })
	return at, err
}

// isAged reports whether a row was removed for its age, or may be once more.
func (w *world) isAged(e *entry) bool {
	i := e.content.event
	return i.StartedAt.Before(w.model.kept[entityOf{i.TenantID, schemas.EntityOf(e.topic())}].aged.Time)
}

// outlived reports whether rows that an export must have aged out after it was planned: only a
// retry of one of long ago meets that.
func (w *world) outlived(x *asked) bool {
	return slices.ContainsFunc(w.model.places, func(e *entry) bool {
		if x.look == nil || !e.exportable(x.request.Filter()) || !w.isAged(e) {
			return false
		}
		before, _ := x.look.has(e)
		return before
	})
}

// leftOut is before when an export has no rows, as its manifest says; of one that was refused,
// as the operator says.
func (w *world) leftOut(x *asked, o opened) (from time.Time) {
	policy := w.model.kept[x.of()].from
	switch {
	case o.manifest == nil:
		return policy.Time
	case o.manifest.HistoryFrom == nil:
		return from
	case o.manifest.HistoryFrom.Compare(policy) > 0:
		w.failf("%s leaves out what is kept: it begins at %s, and rows are kept from %s", x.name(), o.manifest.HistoryFrom, policy)
	}
	return o.manifest.HistoryFrom.Time
}
