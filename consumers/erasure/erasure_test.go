package erasure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cdds/pipeline"
	"cdds/schemas"
)

// TestAnErasureThatBrokeOffIsHeldThoughClickHouseIsLost holds what an erasure is about after it
// broke off, and has ClickHouse lose everything before it goes on: that nothing is found then does
// not mean that nothing is held.
func TestAnErasureThatBrokeOffIsHeldThoughClickHouseIsLost(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		r := s.erasureOf("case-1")
		s.breaksOff(r, beforeErasing)
		s.holds(schemas.Hold{Contacts: []string{"eve"}})
		s.tables.Lose()
		ended := make(chan error, 1)
		go func() { ended <- s.handle(r) }()
		s.later(time.Second)
		s.ingest()
		s.check(<-ended)
		if e := s.shown("case-1"); e.State != schemas.ErasureHeld || e.HoldID != "h1" {
			t.Errorf("it is %s, %q", e.State, e.Waiting)
		}
		if left := s.rowsLeft(); !slices.Equal(left, []string{"i1"}) {
			t.Errorf("stored are %v: what is held was removed", left)
		}
		s.release()
		s.check(s.handle(r))
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || e.Rows != 1 || len(s.rowsLeft()) > 0 {
			t.Errorf("once the hold is released it is %s, of %d rows; stored are %v", e.State, e.Rows, s.rowsLeft())
		}
	})
}

func TestAnErasureThatBrokeOffNamesTheExportsThatBeganSince(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.begins("before")
		r := s.erasureOf("case-1")
		s.breaksOff(r, beforeDeleting)
		s.begins("since")
		s.check(s.handle(r))
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || !slices.Equal(named(e), []string{"before", "since"}) {
			t.Errorf("it is %s and names %v", e.State, named(e))
		}
	})
}

func TestAnErasureNamesTheExportsThatBeginWhileItRemoves(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.begins("before")
		s.once(beforeDeleting, func() error {
			s.begins("meanwhile")
			s.exports = s.exports[1:] // the files of the other one expire
			return nil
		})
		s.check(s.handle(s.erasureOf("case-1")))
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || !slices.Equal(named(e), []string{"before", "meanwhile"}) {
			t.Errorf("it is %s and names %v", e.State, named(e))
		}
	})
}

// TestAHoldOfTheFilesOfAnExportThatBeganSinceKeepsAnErasureAway asks for the deletion of files too.
func TestAHoldOfTheFilesOfAnExportThatBeganSinceKeepsAnErasureAway(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		r := s.erasureOf("case-1")
		r.DeleteArtifacts = true
		s.breaksOff(r, beforeErasing)
		s.begins("since")
		s.holds(schemas.Hold{Exports: []string{"since"}})
		s.check(s.handle(r))
		if e := s.shown("case-1"); e.State != schemas.ErasureHeld || !strings.Contains(e.Waiting, "the files of export since") || len(s.rowsLeft()) != 1 {
			t.Errorf("it is %s, %q; stored are %v", e.State, e.Waiting, s.rowsLeft())
		}
		s.release()
		s.check(s.handle(r))
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || len(e.Exports) != 1 || !e.Exports[0].Deleted {
			t.Errorf("once the hold is released it is %s and says %+v", e.State, e.Exports)
		}
	})
}

// TestWhatAnotherProcessHasRemovedIsNotNothing has another process, which was taken for dead, find
// and remove everything while one looks, and die before it says so.
func TestWhatAnotherProcessHasRemovedIsNotNothing(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.begins("holding")
		r := s.erasureOf("case-1")
		s.once(beforeLooking, func() error {
			s.breaksOff(r, beforeCounting)
			return nil
		})
		s.check(s.handle(r))
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || e.Rows != 1 || !slices.Equal(named(e), []string{"holding"}) {
			t.Errorf("it is %s, of %d rows, and names %v: %s", e.State, e.Rows, named(e), e.Reason)
		}
	})
}

// TestTheWatchPublishesARequestOnceUntilItIsHandled has an erasure that nobody is at, while
// another request keeps the worker busy.
func TestTheWatchPublishesARequestOnceUntilItIsHandled(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		r := s.erasureOf("case-1")
		s.breaksOff(r, beforeErasing)
		says := func(when string, want int) {
			t.Helper()
			if n := s.publishedOf("case-1"); n != want {
				t.Fatalf("%s its request was published %d times, want %d", when, n, want)
			}
		}
		s.watch()
		s.later(10 * time.Minute)
		says("as long as it is to be handled", 0)
		s.handled = 1 // somebody set the group past it
		s.requests++  // and there is a stuck request
		s.later(time.Minute)
		says("once nobody is at it", 1)
		s.later(10 * time.Minute)
		says("as long as others keep the worker busy", 1)
		s.handled = s.requests
		s.later(time.Minute)
		says("once that was handled, and it is as before", 2)
		s.later(10 * time.Minute)
		says("as long as that is to be handled", 2)
		s.check(s.handle(r))
		s.handled = s.requests
		s.later(10 * time.Minute)
		says("once it is done", 2)
		if open, err := s.decisions().Opened(t.Context()); err != nil || len(open) > 0 {
			t.Errorf("still open: %v, %v", open, err)
		}
	})
}

// TestADecisionThatCannotBeReadKeepsNoOtherErasureBack breaks what was decided about erasures of
// every kind that the watch looks at, which come first in its order.
func TestADecisionThatCannotBeReadKeepsNoOtherErasureBack(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		unreadable := func(id, name string) {
			s.check(s.store.PutBytes(t.Context(), "_cdds/erasures/"+tenant+"/"+id+"/"+name, []byte("{"), schemas.ContentTypeJSON))
		}
		unreadable("a-open", "accepted.json")
		s.check(s.decisions().Open(t.Context(), pipeline.ErasureKey{TenantID: tenant, ErasureID: "a-open"}))
		unreadable("a-shown", "ended.json")
		s.check(past{s}.SaveErasure(t.Context(), schemas.Erasure{Request: *s.erasureOf("a-shown"), State: schemas.ErasureAccepted}))
		s.breaksOff(s.erasureOf("b-open"), beforeErasing)
		s.check(past{s}.SaveErasure(t.Context(), schemas.Erasure{Request: *s.erasureOf("b-shown"), State: schemas.ErasureAccepted}))
		s.handled = s.requests
		s.watch()
		for _, id := range []string{"b-open", "b-shown"} {
			if n := s.publishedOf(id); n != 1 {
				t.Errorf("the request of %s was published %d times", id, n)
			}
		}
		if s.publishedOf("a-open")+s.publishedOf("a-shown") > 0 {
			t.Error("what cannot be read was published")
		}
	})
}

// TestWhatCannotBeRemovedAgainKeepsNoOtherErasureBack has rows of two erasures come back.
func TestWhatCannotBeRemovedAgainKeepsNoOtherErasureBack(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.produced("i2", "mallory", 2024)
		s.ingest()
		s.check(s.handle(s.erasureOf("case-1")))
		other := s.erasureOf("case-2")
		other.ContactID = "mallory"
		s.check(s.handle(other))
		s.check(s.tables.InsertInteractions(t.Context(), schemas.Batch[*schemas.Interaction]{Records: s.records}))
		s.meanwhile = func(step string) error {
			if step == beforeErasingAgain+"case-1" {
				return errors.New("too many mutations")
			}
			return nil
		}
		s.watch()
		if left := s.rowsLeft(); !slices.Equal(left, []string{"i1"}) || s.audited("erasure.repeat", "case-2") != 1 {
			t.Errorf("stored are %v; the audit trail has %d records of case-2", left, s.audited("erasure.repeat", "case-2"))
		}
	})
}

// TestAHoldOfWhatAnErasureLeavesDoesNotHoldIt has an interaction of the same id, of another time,
// come after the erasure was accepted: it is a new fact, and stays.
func TestAHoldOfWhatAnErasureLeavesDoesNotHoldIt(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.once(beforeLooking, func() error {
			s.produced("i1", "eve", 2025)
			s.ingest()
			return nil
		})
		s.holds(schemas.Hold{From: yearOf(2025), To: yearOf(2026)})
		s.check(s.handle(s.erasureOf("case-1")))
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || e.Rows != 1 {
			t.Errorf("it is %s, of %d rows, %q", e.State, e.Rows, e.Waiting)
		}
		if all := s.tables.Records(schemas.TopicInteractions); len(all) != 1 || all[0].Event.StartedAt != yearOf(2025) {
			t.Errorf("stored are %v", all)
		}
	})
}

// TestAHeldErasureThatIsHandledAgainSaysThatItIsHeld has it wait for ingest in between.
func TestAHeldErasureThatIsHandledAgainSaysThatItIsHeld(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.holds(schemas.Hold{Contacts: []string{"eve"}})
		r := s.erasureOf("case-1")
		s.check(s.handle(r))
		held := s.shown("case-1")
		if held.State != schemas.ErasureHeld || !strings.Contains(held.Waiting, "the hold h1 (a case)") {
			t.Fatalf("it is %s, %q", held.State, held.Waiting)
		}
		s.produced("i2", "mallory", 2024)
		ended := make(chan error, 1)
		go func() { ended <- s.handle(r) }()
		synctest.Wait()
		if e := s.shown("case-1"); !strings.Contains(e.Waiting, "waiting for ingest") {
			t.Fatalf("it does not wait for ingest: %s, %q", e.State, e.Waiting)
		}
		s.ingest()
		s.check(<-ended)
		if e := s.shown("case-1"); e.State != schemas.ErasureHeld || e.Waiting != held.Waiting {
			t.Errorf("it is %s, %q, want %q", e.State, e.Waiting, held.Waiting)
		}
		if n := s.audited("erasure.hold", "case-1"); n != 1 {
			t.Errorf("the audit trail says %d times that it is held", n)
		}
	})
}

// TestAnErasureDoesNotWaitForWhatKafkaLostUnread loses the end of the log while an erasure waits
// for ingest to read it.
func TestAnErasureDoesNotWaitForWhatKafkaLostUnread(t *testing.T) {
	play(t, func(s *scene) {
		s.stored()
		s.produced("i2", "eve", 2024)
		ended := make(chan error, 1)
		go func() { ended <- s.handle(s.erasureOf("case-1")) }()
		s.later(time.Minute)
		if e := s.shown("case-1"); e.State != schemas.ErasureAccepted || !strings.Contains(e.Waiting, "waiting for ingest: 1 record behind") {
			t.Fatalf("it does not wait for ingest: %s, %q", e.State, e.Waiting)
		}
		s.records = s.records[:1]
		s.check(<-ended)
		if e := s.shown("case-1"); e.State != schemas.ErasureDone || e.Rows != 1 || !slices.Equal(e.Interactions, schemas.Snapshot{1}) {
			t.Errorf("it is %s, of %d rows, as of %v", e.State, e.Rows, e.Interactions)
		}
	})
}

// TestAnErasureNamesTheExportsOfAHistoryThatIsReadAgain has history show no export although all its
// events are stored: what they make is saved a moment later. ClickHouse is lost before the erasure
// looks, or each time that it looks.
func TestAnErasureNamesTheExportsOfAHistoryThatIsReadAgain(t *testing.T) {
	for name, looks := range map[string]int{"before it looks": 0, "while it looks": 2} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.stored()
				s.begins("export-1")
				if looks == 0 {
					s.rereads(10 * time.Second)
				}
				s.meanwhile = func(step string) error {
					if step == beforeListing && looks > 0 {
						looks--
						s.rereads(10 * time.Second)
					}
					return nil
				}
				s.check(s.handle(s.erasureOf("case-1")))
				if e := s.shown("case-1"); e.State != schemas.ErasureDone || !slices.Equal(named(e), []string{"export-1"}) {
					t.Errorf("it is %s and names %v", e.State, named(e))
				}
			})
		})
	}
}
