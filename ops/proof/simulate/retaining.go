package simulate

import (
	"context"
	"slices"
	"strings"
	"time"

	"cdds/ops/connect"
	"cdds/ops/retention"
	"cdds/pipeline"
	"cdds/schemas"
)

// Bounds of the retention role: short, so that a history sees many of its passes.
const (
	lifetime     = time.Hour
	passEvery    = 20 * time.Second // calls that wait as long are answered yet
	retainsGrace = 15 * time.Second
)

// retain runs the role that removes artifacts.
func (p *process) retain(ctx context.Context, k conn, offsets *connect.Offsets) {
	keeper := retention.New(retention.Options{
		History: past{p}, Account: tables{p}, Log: offsets, Objects: objects{p}, Publisher: k, Holds: holds{p},
		Artifacts: pipeline.New(pipeline.Options{Store: objects{p}, Now: p.now}),
		Lifetime:  func(string) time.Duration { return lifetime },
		Grace:     retainsGrace, Name: p.name(), Logger: p.w.log, Now: p.now,
	})
	p.running.Go(func() { // as Run does, but one pass after the other: of two that are due, chance would take one
		for ctx.Err() == nil {
			_, _ = keeper.Expire(ctx)
			_, _ = keeper.Sweep(ctx)
			select {
			case <-time.After(passEvery):
			case <-ctx.Done():
			}
		}
	})
}

// standStill is that all machines are off until every artifact is due, and nothing is lost.
func (w *world) standStill(int, int, int) bool {
	if !w.retains {
		return false
	}
	var off []*process
	for _, p := range w.living() {
		if !p.paused {
			p.paused, off = true, append(off, p)
		}
	}
	w.sleep(lifetime + clocks)
	for _, p := range off {
		p.paused = false
	}
	return true
}

// confirm is an operator who lets retention go on.
func (w *world) confirm(int, int, int) bool {
	ctx := context.Background()
	stop, confirmed, err := retention.Stopped(ctx, w.objects)
	if err != nil || confirmed {
		return false
	}
	return retention.Confirm(ctx, w.objects, stop.ID, "operator", w.now()) == nil
}

// clocks is by how much clocks may differ where something is due.
const clocks = time.Minute

// dueAt is when what is stored of an export may be removed: never, unless it ended with something.
func dueAt(e schemas.Export) (time.Time, bool) {
	switch {
	case e.State == schemas.Completed:
		return e.Completion.ExpiresAt.Time, true
	case e.State == schemas.Failed:
		return e.EndedAt.Add(lifetime), true
	}
	return time.Time{}, false
}

// expired notes that an export's artifacts are said to be gone: not before they are due, and not
// while a hold keeps them that was made before that.
func (m *model) expired(x *asked, before schemas.Export) {
	m.w.coverage["an export expires"]++
	due, is := dueAt(before)
	if !is {
		due = x.acceptedAt.Add(lifetime)
	}
	switch over := over(before.State) && !is; {
	case over || x.deleted || x.cancelled && before.State != schemas.Completed:
	case m.w.now().Before(due.Add(-clocks)):
		m.w.failf("%s was %s and expired before its time, at %v instead of %v", x.name(), before.State, m.w.now(), due)
	}
	for _, h := range m.w.holdsOf(x) {
		if h.madeAt.Before(due.Add(-clocks)) && !x.deleted {
			m.w.failf("%s expired, and the hold %s of before keeps its files", x.name(), h.HoldID)
		}
	}
}

// mostPasses bounds how long it may take until nothing is stored any more that must not be.
const mostPasses = 8

// letRetain lets retention come to what it settles by itself, and to what it settles once an
// operator has looked: it must see each disagreement twice.
func (w *world) letRetain() {
	for range 4 {
		if !w.retains || w.broken != "" {
			return
		}
		w.sleep(passEvery)
		if !w.rest(restLimit) {
			w.failf("there is no end to what processes do")
		}
		w.confirm(0, 0, 0)
	}
}

// settleObjects: where there is a retention role, nothing stays of exports that have ended
// without artifacts, nor of those whose time is over; what a hold keeps stays.
func (w *world) settleObjects() {
	if len(w.heldExports()) > 0 || w.steps%4 == 0 {
		w.standStill(0, 0, 0)
	}
	for n := range mostPasses + 1 {
		w.letRetain()
		if !w.retains || w.broken != "" || w.untidy() == "" {
			break
		}
		if n == mostPasses {
			w.failf("what nobody may keep is still stored: %s", w.untidy())
		}
	}
	for _, x := range w.heldExports() {
		if _, err := w.openExport(x); err != nil && w.broken == "" {
			w.failf("a hold keeps the files of %s, and they cannot be opened: %v", x.name(), err)
		}
	}
}

// heldExports are the completed exports whose files a hold keeps.
func (w *world) heldExports() (all []*asked) {
	for _, x := range w.model.exports {
		if len(w.holdsOf(x)) > 0 && w.fold(x).State == schemas.Completed {
			all = append(all, x)
		}
	}
	return all
}

// untidy names an artifact that must not be stored any more, or is empty.
func (w *world) untidy() string {
	all, err := w.objects.List(context.Background(), "")
	if err != nil {
		w.failf("the bucket cannot be listed: %v", err)
	}
	for _, o := range all {
		parts := strings.SplitN(o.Key, "/", 3)
		if len(parts) != 3 || !schemas.IsArtifact(parts[1], parts[2]) {
			continue
		}
		x, known := w.exportOf(parts[1])
		if !known {
			return o.Key + ", which nobody requested"
		}
		e := w.fold(x)
		due, is := dueAt(e)
		if len(w.holdsOf(x)) > 0 {
			continue
		}
		if is && w.now().After(due.Add(clocks)) || !is && over(e.State) {
			return o.Key + " of an export that is " + string(e.State)
		}
	}
	return ""
}

// tidied counts what is removed of exports that have ended without artifacts.
func (w *world) tidied(key string) {
	if parts := strings.SplitN(key, "/", 3); len(parts) == 3 && schemas.IsArtifact(parts[1], parts[2]) {
		x, known := w.exportOf(parts[1])
		if _, stored := w.objects.Stat(context.Background(), key); stored == nil && known && over(w.fold(x).State) {
			w.coverage["an artifact is removed of an export that is "+string(w.fold(x).State)]++
		}
	}
}

// holdsOf are the holds that keep the files of an export.
func (w *world) holdsOf(x *asked) []*hold {
	return slices.DeleteFunc(w.activeHolds(x.request.TenantID), func(h *hold) bool {
		_, held := (schemas.Holds{h.Hold}).OfExport(x.request.ExportID)
		return !held
	})
}
