package history_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"cdds/consumers"
	"cdds/consumers/history"
	"cdds/schemas"
)

var _ consumers.Handler[*schemas.ExportStatus] = (*history.Handler)(nil)

var errDown = errors.New("the database is down")

func status(export, event string, state schemas.State) *schemas.ExportStatus {
	return &schemas.ExportStatus{TenantID: "acme", ExportID: export, EventID: event, State: state,
		Time: schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
}

func batch(first int64, events ...*schemas.ExportStatus) schemas.Batch[*schemas.ExportStatus] {
	b := schemas.Batch[*schemas.ExportStatus]{Topic: schemas.TopicExportStatus, First: first, Next: first + int64(len(events))}
	for i, e := range events {
		b.Records = append(b.Records, schemas.Record[*schemas.ExportStatus]{Event: e, Offset: first + int64(i)})
	}
	return b
}

var (
	begin = batch(0, status("e1", "requested", schemas.Requested), status("e2", "requested", schemas.Requested), status("e1", "planned", schemas.Planned))
	end   = batch(3, status("e1", "completed", schemas.Completed))
)

func newHandler(t *testing.T, s *store) *history.Handler {
	t.Helper()
	h, err := history.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestEveryExportTouchedIsFoldedFromAllItsEvents(t *testing.T) {
	s := newStore()
	h := newHandler(t, s)
	for _, b := range []schemas.Batch[*schemas.ExportStatus]{begin, end, begin} { // the last is a replay
		if err := h.Handle(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	e1, e2 := s.exports["acme/e1"], s.exports["acme/e2"]
	if e1.State != schemas.Completed || e1.Events != 3 || e2.State != schemas.Requested || e2.Events != 1 {
		t.Errorf("e1 is %s after %d events, e2 is %s after %d", e1.State, e1.Events, e2.State, e2.Events)
	}
	if len(s.events) != 4 {
		t.Errorf("%d events are stored, want 4", len(s.events))
	}
}

func TestWhatJustArrivedCountsThoughTheStoreDoesNotShowItYet(t *testing.T) {
	s := newStore()
	s.stale = true
	if err := newHandler(t, s).Handle(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	if e := s.exports["acme/e1"]; e.State != schemas.Planned || e.Events != 2 {
		t.Errorf("e1 is %s after %d events, want planned after 2", e.State, e.Events)
	}
}

func TestFailureAtAnyStepIsAnErrorAndTheRepetitionHeals(t *testing.T) {
	want := newStore()
	if err := newHandler(t, want).Handle(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= want.calls; step++ {
		s := newStore()
		s.failAt = step
		h := newHandler(t, s)
		if err := h.Handle(t.Context(), begin); !errors.Is(err, errDown) {
			t.Errorf("step %d: error = %v, want %v", step, err, errDown)
		}
		if err := h.Handle(t.Context(), begin); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(states(s)), fmt.Sprint(states(want)); got != want {
			t.Errorf("step %d: exports %s, want %s", step, got, want)
		}
	}
}

func TestWhatWasStoredAndNotFoldedIsFoldedAgain(t *testing.T) {
	whole := newStore()
	if err := newHandler(t, whole).Handle(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	for step := 1; step <= whole.calls; step++ {
		s := newStore()
		s.failAt = step
		if err := newHandler(t, s).Handle(t.Context(), begin); !errors.Is(err, errDown) {
			t.Errorf("step %d: error = %v, want %v", step, err, errDown)
		}
		if n, err := newHandler(t, s).Refold(t.Context()); err != nil || fmt.Sprint(states(s)) != fmt.Sprint(states(whole)) {
			t.Errorf("step %d: %d exports are folded again, %v; history shows %s, want %s", step, n, err, states(s), states(whole))
		}
		if n, err := newHandler(t, s).Refold(t.Context()); err != nil || n != 0 {
			t.Errorf("step %d: once more %d exports are folded again, %v", step, n, err)
		}
	}
}

func states(s *store) []string {
	var list []string
	for id, e := range s.exports {
		list = append(list, fmt.Sprintf("%s %s %d", id, e.State, e.Events))
	}
	slices.Sort(list)
	return list
}
