package history_test

import (
	"context"
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

// store keeps events by offset and exports by id, as the ClickHouse tables do. It
// fails at call number failAt, from 1.
type store struct {
	events  map[int64]*schemas.ExportStatus
	exports map[string]schemas.Export
	stale   bool // reads do not show what was inserted

	calls, failAt int
}

func newStore() *store {
	return &store{events: make(map[int64]*schemas.ExportStatus), exports: make(map[string]schemas.Export)}
}

func (s *store) call() error {
	if s.calls++; s.calls == s.failAt {
		return errDown
	}
	return nil
}

func (s *store) InsertStatus(_ context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	for _, r := range b.Records {
		s.events[r.Offset] = r.Event
	}
	return s.call()
}

func (s *store) StatusEvents(_ context.Context, tenantID, exportID string) ([]*schemas.ExportStatus, error) {
	var list []*schemas.ExportStatus
	for _, e := range s.events {
		if !s.stale && e.TenantID == tenantID && e.ExportID == exportID {
			list = append(list, e)
		}
	}
	return list, s.call()
}

func (s *store) SaveExports(_ context.Context, exports []schemas.Export) error {
	if err := s.call(); err != nil {
		return err
	}
	for _, e := range exports {
		s.exports[e.TenantID+"/"+e.ExportID] = e
	}
	return nil
}

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

func states(s *store) []string {
	var list []string
	for id, e := range s.exports {
		list = append(list, fmt.Sprintf("%s %s %d", id, e.State, e.Events))
	}
	slices.Sort(list)
	return list
}

func TestAnExportOfManyPartsIsFoldedNowAndThenAndWhollyAtItsEnd(t *testing.T) {
	const parts, each = 4000, 10
	s := newStore()
	h := newHandler(t, s)
	handle := func(at int64, events ...*schemas.ExportStatus) {
		t.Helper()
		if err := h.Handle(t.Context(), batch(at, events...)); err != nil {
			t.Fatal(err)
		}
	}
	handle(0, status("e1", "requested", schemas.Requested), status("e1", "planned", schemas.Planned))
	folds := 0
	for n := 0; n < parts; n += each {
		var events []*schemas.ExportStatus
		for i := n; i < n+each; i++ {
			e := status("e1", schemas.PartEventID(i+1), schemas.Running)
			e.Part = &schemas.Receipt{Part: schemas.Part{Number: i + 1, Rows: 1}}
			events = append(events, e)
		}
		before := s.exports["acme/e1"].Events
		handle(int64(2+n), events...)
		got := s.exports["acme/e1"]
		if got.Events > before {
			folds++
		}
		if came := n + each; got.Done.Parts < came-came/stalest-each {
			t.Fatalf("%d parts were told, and history shows %d", came, got.Done.Parts)
		}
	}
	if folds == 0 || folds > parts/each/2 {
		t.Errorf("%d folds for %d batches", folds, parts/each)
	}
	handle(2+parts, status("e1", "completed", schemas.Completed))
	if got := s.exports["acme/e1"]; got.State != schemas.Completed || got.Done.Parts != parts {
		t.Errorf("it is %s with %d of %d parts", got.State, got.Done.Parts, parts)
	}
}

// stalest is the share of the parts that history may not show yet.
const stalest = 60
