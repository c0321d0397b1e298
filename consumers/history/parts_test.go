package history_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/consumers/history"
	"cdds/schemas"
)

// part is the event of a stored part of e1.
func part(number, attempt, second int) *schemas.ExportStatus {
	e := status("e1", schemas.PartEventID(number), schemas.Running)
	e.Attempt, e.Time = attempt, schemas.TimeOf(e.Time.Add(time.Duration(second)*time.Second))
	e.Part = &schemas.Receipt{Part: schemas.Part{Number: number, Rows: int64(number)}, Name: schemas.PartName(schemas.EntityContact, "e1", schemas.Part{Number: number})}
	return e
}

func completed() *schemas.ExportStatus {
	e := status("e1", "completed", schemas.Completed)
	e.Completion = &schemas.Completion{ExpiresAt: e.Time}
	return e
}

// stalest is the share of the parts that history may not show yet.
const stalest = 60

func TestFoldsOfAnExportOfManyPartsWriteEachPartTwice(t *testing.T) {
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
	for n := 0; n < parts; n += each {
		var events []*schemas.ExportStatus
		for i := n; i < n+each; i++ {
			events = append(events, part(i+1, 1, i))
		}
		handle(int64(2+n), events...)
		came := n + each
		if got := s.exports["acme/e1"]; got.Done.Parts < came-came/stalest-each {
			t.Fatalf("%d parts were told, and history shows %d", came, got.Done.Parts)
		}
		if len(s.artifacts) != came {
			t.Fatalf("%d parts are stored, and %d artifacts are listed", came, len(s.artifacts))
		}
	}
	if s.folds > parts/each/2 {
		t.Errorf("%d folds for %d batches", s.folds, parts/each)
	}
	handle(2+parts, completed())
	if got := s.exports["acme/e1"]; got.State != schemas.Completed || got.Done.Parts != parts || len(got.Parts) > 0 {
		t.Errorf("it is %s with %d of %d parts, %d of them in its row", got.State, got.Done.Parts, parts, len(got.Parts))
	}
	// Each part when it comes and when the export ends; the row of the export with each fold.
	if most := 2*parts + s.folds + 2*2; s.written > most {
		t.Errorf("%d rows were written about %d parts, want at most %d", s.written, parts, most)
	}
	if most := 2*parts + 5*s.folds; s.read > most {
		t.Errorf("%d events were read about %d parts, want at most %d", s.read, parts, most)
	}
	written, read := s.written, s.read
	handle(3+parts, status("e1", "refused/again", schemas.Refused)) // a retry of what is completed
	if s.written > written+5 || s.read > read+5 {
		t.Errorf("a retry that is refused writes %d rows and reads %d events", s.written-written, s.read-read)
	}
}

func TestAReplicaThatLostThePartitionForgetsWhereExportsStood(t *testing.T) {
	const parts = 500
	s := newStore()
	one, other := newHandler(t, s), newHandler(t, s)
	handle := func(h *history.Handler, at int64, events ...*schemas.ExportStatus) {
		t.Helper()
		if err := h.Handle(t.Context(), batch(at, events...)); err != nil {
			t.Fatal(err)
		}
	}
	var events []*schemas.ExportStatus
	for n := range parts {
		events = append(events, part(n+1, 1, n))
	}
	handle(one, 0, status("e1", "requested", schemas.Requested))
	handle(one, 1, events...)
	handle(other, 1+parts, completed())
	handle(one, 2+parts, part(parts+1, 1, 0)) // of a worker that was believed dead
	last := s.artifacts[schemas.ExportPrefix("acme", "e1")+schemas.PartName(schemas.EntityContact, "e1", schemas.Part{Number: parts + 1})]
	if got := s.exports["acme/e1"]; got.State != schemas.Completed || got.Done.Parts != parts+1 || last.ExpiresAt.IsZero() {
		t.Errorf("it is %s with %d parts, the last of which expires at %q", got.State, got.Done.Parts, last.ExpiresAt)
	}
}

func TestHistoryIsTheFoldOfAllEventsHoweverTheyCome(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := []*schemas.ExportStatus{status("e1", "requested", schemas.Requested), status("e1", "planned", schemas.Planned)}
		events[0].Request = &schemas.ExportRequest{Entity: schemas.EntityContact}
		ends := rapid.Bool().Draw(rt, "completed")
		for range rapid.IntRange(0, 200).Draw(rt, "parts") { // repeated, out of order, of older attempts
			e := part(rapid.IntRange(1, 90).Draw(rt, "number"), rapid.IntRange(0, 3).Draw(rt, "attempt"), rapid.IntRange(0, 50).Draw(rt, "second"))
			if ends { // what contradicts itself is settled by the end
				e.Part.Rows += rapid.Int64Range(0, 2).Draw(rt, "more rows")
			}
			events = append(events, e)
		}
		if ends {
			events = append(events, completed())
			if rapid.Bool().Draw(rt, "expired") {
				events = append(events, status("e1", "expired", schemas.Expired))
			}
			for range rapid.IntRange(0, 5).Draw(rt, "late parts") {
				events = append(events, part(rapid.IntRange(80, 99).Draw(rt, "number"), 1, 60))
			}
		} else {
			events = append(events, status("e1", "waiting/1", schemas.Running))
		}

		// Two replicas take turns: each reads on from where the other committed, or from earlier,
		// one may be late with what the other has done since, and each may restart.
		s := newStore()
		replicas := []*history.Handler{newHandler(t, s), newHandler(t, s)}
		handle := func(from, to int) {
			n := rapid.IntRange(0, 1).Draw(rt, "replica")
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				replicas[n] = newHandler(t, s)
			}
			if err := replicas[n].Handle(t.Context(), batch(int64(from), events[from:to]...)); err != nil {
				rt.Fatal(err)
			}
		}
		for at := 0; at < len(events); {
			next := min(len(events), at+rapid.IntRange(1, 12).Draw(rt, "batch"))
			handle(at, next)
			if rapid.IntRange(0, 4).Draw(rt, "late") == 0 {
				from := rapid.IntRange(0, at).Draw(rt, "from")
				handle(from, min(at+1, from+5))
			}
			at = next
		}
		want := schemas.Fold(events...)
		all := map[string]schemas.Artifact{}
		for _, a := range schemas.Artifacts(want) {
			all[a.Key] = a
		}
		want.Parts = nil
		if got := s.exports["acme/e1"]; encoded(rt, got) != encoded(rt, want) {
			rt.Fatalf("history says\n%s\nand the fold of all events is\n%s", encoded(rt, got), encoded(rt, want))
		}
		listed := map[string]schemas.Artifact{}
		for key, a := range s.artifacts {
			a.CreatedAt = all[key].CreatedAt // of the fold that listed it
			listed[key] = a.Artifact
		}
		if !maps.Equal(listed, all) {
			rt.Fatalf("%d artifacts are listed and there are %d; listed are\n%v\nand the artifacts are\n%v", len(listed), len(all), sorted(listed), sorted(all))
		}
	})
}

func sorted(m map[string]schemas.Artifact) []schemas.Artifact {
	return slices.SortedFunc(maps.Values(m), func(a, b schemas.Artifact) int { return cmp.Compare(a.Key, b.Key) })
}

func encoded(t *rapid.T, e schemas.Export) string {
	b, err := schemas.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
