package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// open returns a ledger on the shared stack. Tests use tenants of their own.
func open(t testing.TB) *ledger.Ledger {
	t.Helper()
	db := tables.New(stacktest.ClickHouse(t))
	if err := db.Create(t.Context(), ledger.Schema()); err != nil {
		t.Fatal(err)
	}
	return ledger.New(db)
}

var from = schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

func TestAnOlderFoldNeverReplacesANewerOne(t *testing.T) {
	l := open(t)
	older := schemas.Export{TenantID: "folds", ExportID: "e", State: schemas.Running, Events: 3}
	newer := schemas.Export{TenantID: "folds", ExportID: "e", State: schemas.Completed, Events: 4}
	for _, e := range []schemas.Export{older, newer, older} {
		if err := l.SaveExports(t.Context(), []schemas.Export{e}); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := l.Export(t.Context(), "folds", "e")
	if err != nil || !ok || got.State != schemas.Completed {
		t.Errorf("history says %s, %v, %v", got.State, ok, err)
	}
	if _, ok, err := l.Export(t.Context(), "another", "e"); ok || err != nil {
		t.Errorf("another tenant sees it: %v, %v", ok, err)
	}
	if all, err := l.Exports(t.Context(), "another", "", 10); len(all) != 0 || err != nil {
		t.Errorf("another tenant lists %d, %v", len(all), err)
	}
}

func TestAStateIsLookedForAmongAllExportsNotAmongTheLatest(t *testing.T) {
	l := open(t)
	for n, state := range []schemas.State{schemas.Failed, schemas.Completed, schemas.Completed} {
		e := schemas.Export{TenantID: "states", ExportID: fmt.Sprint(n), State: state, Events: 1, RequestedAt: schemas.TimeOf(from.Add(time.Duration(n) * time.Hour))}
		if err := l.SaveExports(t.Context(), []schemas.Export{e}); err != nil {
			t.Fatal(err)
		}
	}
	failed, err := l.Exports(t.Context(), "states", schemas.Failed, 1)
	if err != nil || len(failed) != 1 || failed[0].ExportID != "0" {
		t.Errorf("failed: %+v, %v", failed, err)
	}
	latest, err := l.Exports(t.Context(), "states", "", 1)
	if err != nil || len(latest) != 1 || latest[0].ExportID != "2" {
		t.Errorf("the latest: %+v, %v", latest, err)
	}
}

func TestTheStatesOfExportsOfManyTenantsAreReadTogether(t *testing.T) {
	l := open(t)
	var saved []schemas.Export
	var asked [][2]string
	for n := range 400 {
		e := schemas.Export{TenantID: fmt.Sprintf("together-%d", n%7), ExportID: fmt.Sprintf("it's %d", n), State: schemas.Running, Events: 1}
		saved = append(saved, e)
		asked = append(asked, [2]string{e.TenantID, e.ExportID}, [2]string{"together-x", e.ExportID})
	}
	err := l.SaveExports(t.Context(), saved)
	if err == nil {
		saved[3].State, saved[3].Events = schemas.Expired, 2
		err = l.SaveExports(t.Context(), saved[3:4])
	}
	if err != nil {
		t.Fatal(err)
	}
	states, err := l.States(t.Context(), asked)
	if err != nil || len(states) != len(saved) {
		t.Fatalf("of %d exports %d have a state, %v", len(saved), len(states), err)
	}
	for _, e := range saved {
		if got := states[[2]string{e.TenantID, e.ExportID}]; got != e.State {
			t.Errorf("%s of %s is %q, want %s", e.ExportID, e.TenantID, got, e.State)
		}
	}
}

func TestPartsAreStoredWhenTheirFirstEventSays(t *testing.T) {
	l := open(t)
	event := func(offset int64, part int, at schemas.Time) schemas.Record[*schemas.ExportStatus] {
		return schemas.Record[*schemas.ExportStatus]{Offset: offset, Event: &schemas.ExportStatus{
			TenantID: "timed", ExportID: "e", EventID: schemas.PartEventID(part), State: schemas.Running, Time: at,
		}}
	}
	later := schemas.TimeOf(from.Add(time.Second))
	err := l.InsertStatus(t.Context(), schemas.Batch[*schemas.ExportStatus]{Records: []schemas.Record[*schemas.ExportStatus]{
		event(1, 2, from), event(2, 1, later), event(3, 1, later), event(4, 101, later),
	}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.StoredTimes(t.Context(), "timed", "e", 100)
	if err != nil || len(got) != 2 || !got[1].Equal(later.Time) || !got[2].Equal(from.Time) {
		t.Errorf("stored at %v, %v", got, err)
	}
	if got, err := l.StoredTimes(t.Context(), "another", "e", 100); len(got) != 0 || err != nil {
		t.Errorf("another tenant sees %v, %v", got, err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnErasureIsSavedAfterOneWhoseClockIsAhead(t *testing.T) {
	l := open(t)
	request := schemas.ErasureRequest{TenantID: fmt.Sprintf("ahead-%d", time.Now().UnixNano()), ErasureID: "x"}
	accepted, err := schemas.Encode(schemas.Erasure{Request: request, State: schemas.ErasureAccepted})
	check(t, err)
	check(t, stacktest.ClickHouse(t).Exec(t.Context(), "INSERT INTO erasures (tenant_id, erasure_id, state, body, summary, version) VALUES ($1, 'x', 'accepted', $2, $2, $3)",
		request.TenantID, string(accepted), uint64(time.Now().Add(time.Hour).UnixMilli())))
	check(t, l.SaveErasure(t.Context(), schemas.Erasure{Request: request, State: schemas.ErasureDone, Rows: 3}))
	check(t, l.RememberErasure(t.Context(), schemas.Erasure{Request: request, State: schemas.ErasureDone}))
	if e, _, err := l.Erasure(t.Context(), request.TenantID, "x"); err != nil || e.State != schemas.ErasureDone || e.Rows != 3 {
		t.Errorf("the erasure is %s with %d rows, %v; want done with 3", e.State, e.Rows, err)
	}
	if late, err := l.ErasuresSince(t.Context(), time.Now().Add(-time.Minute)); err != nil || !slices.ContainsFunc(late, func(e schemas.Erasure) bool { return e.Request.TenantID == request.TenantID }) {
		t.Errorf("it is not among the erasures of late: %v", err)
	}
}
