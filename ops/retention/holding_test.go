package retention_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/retention"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// HeldExports are those of acme that holds of the house name.
func (h *house) HeldExports(context.Context) (all [][2]string, err error) {
	for _, hold := range h.holds {
		for _, id := range hold.Exports {
			all = append(all, [2]string{"acme", id})
		}
	}
	return all, nil
}

// holding is a process that tells the store what is held, and starts now.
func (h *house) holding(store retention.Expiring) *retention.Holding {
	return retention.NewHolding(retention.HoldingOptions{
		Holds: h, Store: store, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func part(id string, n int) string {
	return schemas.PartName(schemas.EntityInteraction, id, schemas.Part{Number: n})
}

// TestTheStoreItselfKeepsWhatAHoldKeeps has the store remove files by age, as its rule does a week
// after everything should be gone.
func TestTheStoreItselfKeepsWhatAHoldKeeps(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"held", "other"} {
		h.export(id)
	}
	h.accept("at-work")
	h.put("at-work", part("at-work", 1), "sealed")
	h.holds = schemas.Holds{{HoldID: "case-12", Exports: []string{"held", "at-work", "gone"}}}
	one, two := h.holding(h.store), h.holding(h.store)
	check(t, one.Pass(t.Context()))
	check(t, two.Pass(t.Context()))
	h.put("at-work", part("at-work", 2), "sealed") // later
	check(t, two.Pass(t.Context()))
	ages := func() {
		h.now = h.now.Add(37 * day)
		h.store.ExpireBefore(h.now)
	}
	left := func(when string, want map[string]int) {
		t.Helper()
		for id, n := range want {
			if got := h.objects(schemas.ExportPrefix("acme", id) + schemas.EntityInteraction); got != n {
				t.Errorf("%s %s has %d files, want %d", when, id, got, n)
			}
		}
	}
	ages()
	left("while they are held", map[string]int{"held": 1, "at-work": 2, "other": 0})
	if n := h.objects("_cdds/held/"); n != 2 {
		t.Errorf("%d exports are noted as held", n)
	}

	// One is released, and another process sees that first; then it is held once more.
	h.holds = schemas.Holds{{HoldID: "case-13", Exports: []string{"at-work"}}}
	check(t, one.Pass(t.Context()))
	h.holds = append(h.holds, schemas.Hold{HoldID: "case-14", Exports: []string{"held"}})
	check(t, two.Pass(t.Context()))
	ages()
	left("held once more", map[string]int{"held": 1, "at-work": 2})

	h.holds = nil
	check(t, h.holding(h.store).Pass(t.Context())) // after a restart
	ages()
	left("once they are released", map[string]int{"held": 0, "at-work": 0})
	if n := h.objects("_cdds/held/"); n != 0 {
		t.Errorf("%d exports are noted as held yet", n)
	}
}

// refusing is a store that does not tag a file.
type refusing struct {
	*pipelinetest.Store
	key *string
}

func (r refusing) Hold(ctx context.Context, key string, held bool) error {
	if key == *r.key {
		return errors.New("AccessDenied")
	}
	return r.Store.Hold(ctx, key, held)
}

// TestAFileThatTheStoreWasNotToldOfIsTriedAgain: the others are kept meanwhile, and what could not
// be let go is not forgotten.
func TestAFileThatTheStoreWasNotToldOfIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"a", "b"} {
		h.export(id)
	}
	h.holds = schemas.Holds{{HoldID: "case-12", Exports: []string{"a", "b"}}}
	key := schemas.ExportPrefix("acme", "a") + part("a", 1)
	holding := h.holding(refusing{h.store, &key})
	kept := func() (n int) {
		h.store.ExpireBefore(h.now.Add(day))
		return h.objects(schemas.ExportPrefix("acme", "a")+schemas.EntityInteraction) + h.objects(schemas.ExportPrefix("acme", "b")+schemas.EntityInteraction)
	}
	if err := holding.Pass(t.Context()); err == nil {
		t.Error("a pass that could not keep a file worked")
	}
	refused := key
	key = ""
	check(t, holding.Pass(t.Context()))
	if n := kept(); n != 2 {
		t.Fatalf("%d files of 2 are kept", n)
	}
	h.holds, key = nil, refused
	if err := holding.Pass(t.Context()); err == nil {
		t.Error("a pass that could not let a file go worked")
	}
	if n := kept(); n != 1 {
		t.Errorf("%d files are kept, want that which could not be let go", n)
	}
	key = ""
	check(t, holding.Pass(t.Context()))
	if n := kept() + h.objects("_cdds/held/"); n != 0 {
		t.Errorf("%d files or notes are left", n)
	}
}
