package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cdds/schemas"
)

// remains are the names of what is left of an export, readers see it or not.
func (h *house) remains(id string) (names []string) {
	h.t.Helper()
	all, err := h.store.Remains(h.t.Context(), schemas.ExportPrefix("acme", id))
	check(h.t, err)
	for _, o := range all {
		if name := strings.TrimPrefix(o.Key, schemas.ExportPrefix("acme", id)); schemas.IsArtifact(id, name) {
			names = append(names, name)
		}
	}
	return names
}

// TestALockThatIsNotOursIsReportedAndSweptOnceItIsLifted: somebody put a legal hold on a file of an
// export, whose time is over then.
func TestALockThatIsNotOursIsReportedAndSweptOnceItIsLifted(t *testing.T) {
	h := newHouse(t)
	h.store.Locks = true
	h.export("locked")
	h.export("other")
	h.put("stray", part("stray", 1), "sealed") // of no export
	for n := range 25 {                        // so that one stray is not too many
		h.accept(fmt.Sprint("at-work-", n))
	}
	key := func(id string) string { return schemas.ExportPrefix("acme", id) + part(id, 1) }
	for _, id := range []string{"locked", "stray"} {
		check(t, h.store.Lock(t.Context(), key(id), true))
	}
	h.now = h.now.Add(31 * day)
	report, err := h.keeper().Expire(t.Context())
	if err != nil || report.Expired != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	e, _, err := h.Export(t.Context(), "acme", "locked")
	check(t, err)
	if e.State != schemas.Expired || !strings.Contains(e.Reason, "1 file could not be removed") || !strings.Contains(e.Reason, "under a legal hold") {
		t.Errorf("it is %s because of %q", e.State, e.Reason)
	}
	if left := h.remains("locked"); !slices.Equal(left, []string{part("locked", 1)}) || len(h.remains("other")) != 0 || h.objects(key("locked")) != 0 {
		t.Errorf("left are %q, and %q of the other", left, h.remains("other"))
	}
	keeper := h.keeper()
	for range 4 { // seen, seen again a grace later, and kept by the lock: no sweep fails
		h.now = h.now.Add(2 * day)
		if report := h.sweep(keeper); report.Leftovers+report.Orphans != 0 {
			t.Errorf("a sweep removed what is locked: %+v", report)
		}
	}
	check(t, h.store.Lock(t.Context(), key("locked"), false))
	if report := h.sweep(keeper); report.Leftovers != 1 || len(h.remains("locked")) != 0 {
		t.Errorf("once the locks are lifted: %+v, left are %q", report, h.remains("locked"))
	}
}

// TestAHoldLocksTheFilesOfAnExport where the store has locks: the manifest too, and files that are
// stored later.
func TestAHoldLocksTheFilesOfAnExport(t *testing.T) {
	h := newHouse(t)
	h.store.Locks = true
	h.export("held")
	h.holds = schemas.Holds{{HoldID: "case-12", Exports: []string{"held"}}}
	holding := h.holding(h.store)
	check(t, holding.Pass(t.Context()))
	h.put("held", part("held", 2), "sealed") // later
	check(t, holding.Pass(t.Context()))
	remove := func() {
		for _, name := range []string{schemas.ManifestName, schemas.SignatureName, part("held", 1), part("held", 2)} {
			_ = h.store.Remove(t.Context(), schemas.ExportPrefix("acme", "held")+name) // as others do
		}
	}
	remove()
	if left := h.remains("held"); len(left) != 4 {
		t.Errorf("of four files that are held there are %q", left)
	}
	h.holds = nil
	check(t, h.holding(h.store).Pass(t.Context()))
	remove()
	if left := h.remains("held"); len(left) != 0 {
		t.Errorf("once they are released there are %q", left)
	}
}

// TestAFileThatTookAnothersPlaceIsHeldToo: as many files as before are not the same ones.
func TestAFileThatTookAnothersPlaceIsHeldToo(t *testing.T) {
	h := newHouse(t)
	h.accept("e")
	h.put("e", part("e", 1), "sealed")
	h.holds = schemas.Holds{{HoldID: "case-12", Exports: []string{"e"}}}
	holding := h.holding(h.store)
	check(t, holding.Pass(t.Context()))
	check(t, h.store.Remove(t.Context(), schemas.ExportPrefix("acme", "e")+part("e", 1)))
	h.put("e", part("e", 2), "sealed")
	check(t, holding.Pass(t.Context()))
	h.store.ExpireBefore(h.now.Add(37 * day))
	if left := h.remains("e"); !slices.Equal(left, []string{part("e", 2)}) {
		t.Errorf("there are %q", left)
	}
}
