package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cdds/schemas"
)

// hold is one that somebody made.
type hold struct {
	schemas.Hold
	// made and released are the steps at which that was acknowledged; 0: it is not released.
	made, released int
	madeAt         time.Time
}

// makeHold holds a contact, an interaction, a year or the files of an export.
func (w *world) makeHold(a, b, c int) bool {
	if !w.erases && !w.retains || len(w.activeHolds("")) == mostHolds {
		return false
	}
	h := schemas.Hold{TenantID: tenant(a), HoldID: fmt.Sprintf("h%d", len(w.model.holds)), Name: "a case", Reason: "a court asks"}
	switch b % 4 {
	case 0:
		h.Contacts = []string{contacts[1+c%(len(contacts)-1)]}
	case 1:
		key := c % keys
		h.TenantID, h.Interactions = tenant(key), []string{fmt.Sprintf("i%d", key)}
	case 2:
		h.From = schemas.TimeOf(time.Date(firstYear+c%years, 1, 1, 0, 0, 0, 0, time.UTC))
		h.To = schemas.TimeOf(h.From.AddDate(1, 0, 0))
	default:
		if len(w.model.exports) == 0 {
			return false
		}
		x := w.model.exports[c%len(w.model.exports)].request
		h.TenantID, h.Exports = x.TenantID, []string{x.ExportID}
	}
	w.model.holds = append(w.model.holds, &hold{Hold: h, made: w.steps, madeAt: w.now()})
	w.changeHolds()
	return true
}

// mostHolds bounds how many holds there are at a time.
const mostHolds = 3

// releaseHold releases one.
func (w *world) releaseHold(a, _, _ int) bool {
	active := w.activeHolds("")
	if len(active) == 0 {
		return false
	}
	active[a%len(active)].released = w.steps
	w.changeHolds()
	return true
}

// activeHolds are the holds of a tenant, or of all, that are not released.
func (w *world) activeHolds(tenantID string) (all []*hold) {
	for _, h := range w.model.holds {
		if h.released == 0 && (tenantID == "" || h.TenantID == tenantID) {
			all = append(all, h)
		}
	}
	return all
}

// changeHolds tells everybody that holds have changed.
func (w *world) changeHolds() {
	w.waiting() // until nobody is about to ask for the channel
	close(w.holdsChanged)
	w.holdsChanged = make(chan struct{})
}

// holds are the definitions as a process has them, read from Kafka.
type holds struct{ p *process }

// Held implements erasure.Holds.
func (h holds) Held(ctx context.Context, tenantID string) (all schemas.Holds, err error) {
	err = h.p.ask(ctx, atKafka, "holds of "+tenantID, func() error {
		for _, active := range h.p.w.activeHolds(tenantID) {
			all = append(all, active.Hold)
		}
		return nil
	})
	return all, err
}

// Changed implements erasure.Holds.
func (h holds) Changed() <-chan struct{} { return h.p.w.holdsChanged }

// covers reports whether a hold keeps an entry for what it is itself.
func (h *hold) covers(e *entry) bool {
	if e.content == nil || e.content.event == nil {
		return false
	}
	i := e.content.event
	held := schemas.Holds{h.Hold}
	_, is := held.OfRow(schemas.EntityOf(e.topic()), e.content.key(), []string{i.ContactID})
	return is && i.TenantID == h.TenantID
}

// mayHold reports whether a hold may keep an erasure from being carried out: it covers what is
// named, or a version of the same row; or files that would be deleted.
func (w *world) mayHold(h *hold, x *erasureAsked) bool {
	if h.TenantID != x.request.TenantID {
		return false
	}
	if len(h.Exports) > 0 && x.request.DeleteArtifacts {
		return true
	}
	ids := map[string]bool{}
	for _, e := range w.model.places {
		if e.content != nil && x.names(e.content) {
			ids[e.content.event.InteractionID] = true
		}
	}
	return slices.ContainsFunc(w.model.places, func(e *entry) bool {
		return e.content != nil && e.content.event != nil && ids[e.content.event.InteractionID] && h.covers(e)
	})
}

// mayBeHeld reports whether any hold may keep an erasure waiting now.
func (w *world) mayBeHeld(x *erasureAsked) bool {
	return slices.ContainsFunc(w.activeHolds(x.request.TenantID), func(h *hold) bool { return w.mayHold(h, x) })
}

// checkHolds: nothing is forgotten that was held when that was asked for, or that history showed to
// be held, and held until the end.
func (w *world) checkHolds() {
	for _, x := range w.model.erasures {
		if x.ended == nil || x.ended.State != schemas.ErasureDone {
			continue
		}
		for _, h := range w.model.holds {
			before := h.made < x.step || h.HoldID == x.heldBy && x.heldAt < x.endedAt
			if !before || h.released > 0 && h.released <= x.endedAt || h.TenantID != x.request.TenantID {
				continue
			}
			for e := range w.inKafka() {
				if w.surely(x, e) && h.covers(e) {
					w.failf("erasure %s is done, and the hold %s of before keeps %s", x.request.ErasureID, h.HoldID, e.body())
				}
			}
			if x.request.DeleteArtifacts && len(h.Exports) > 0 && slices.ContainsFunc(x.ended.Exports, func(a schemas.AffectedExport) bool { return a.ExportID == h.Exports[0] }) {
				w.failf("erasure %s deleted the files of export %s, which the hold %s of before keeps", x.request.ErasureID, h.Exports[0], h.HoldID)
			}
		}
	}
	for _, x := range w.model.exports {
		for _, h := range w.model.holds {
			if slices.Contains(h.Exports, x.request.ExportID) && x.gone > 0 && x.deletedAt > h.made && (h.released == 0 || h.released > x.gone) {
				w.failf("%s was deleted though the hold %s of before keeps its files", x.name(), h.HoldID)
			}
		}
	}
}

// surely reports whether an erasure finds an entry by itself, whatever happened: Kafka had it
// before it was asked for and still has it, and nothing else removes it.
func (w *world) surely(x *erasureAsked, e *entry) bool {
	if must, _ := w.concerns(x, e); !must || e.huge != [2]int64{} || e.born >= x.step || !e.visibleAt(x.step) || w.isAged(e) {
		return false
	}
	return !slices.ContainsFunc(w.model.erasures, func(o *erasureAsked) bool {
		_, may := w.concerns(o, e)
		return may && o != x
	})
}
