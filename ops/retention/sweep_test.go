package retention_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/retention"
	"cdds/schemas"
)

// aged is a house with n completed exports, made ten days ago.
func aged(t *testing.T, n int) *house {
	h := newHouse(t)
	for i := range n {
		h.export(fmt.Sprintf("e%03d", i))
	}
	h.now = h.now.Add(10 * day)
	return h
}

func TestNothingIsRemovedBeforeHistoryHoldsWhatKafkaHas(t *testing.T) {
	h := aged(t, 5)
	objects := h.objects("")
	h.forget(false) // ClickHouse is lost, and the group is far ahead
	k := h.keeper()
	for range 3 {
		for name, pass := range map[string]func(context.Context) (retention.Report, error){"sweep": k.Sweep, "expire": k.Expire} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			if report, err := pass(ctx); !errors.Is(err, context.DeadlineExceeded) || report != (retention.Report{}) {
				t.Errorf("%s did %+v, %v; want that it waits", name, report, err)
			}
			cancel()
		}
		h.now = h.now.Add(30 * day)
	}
	if got := h.objects(""); got != objects {
		t.Errorf("%d of %d objects are left", got, objects)
	}
}

func TestWhatTheBucketProvesIsKeptThoughHistoryAndKafkaLostIt(t *testing.T) {
	h := aged(t, 3)
	h.accept("running")
	h.forget(true) // and Kafka's retention has let go of it
	k := h.keeper()
	objects := h.objects("")
	for range 19 { // until the day before its time is over
		if report := h.sweep(k); report != (retention.Report{}) {
			t.Fatalf("at %s the sweep did %+v", h.now, report)
		}
		h.now = h.now.Add(day)
	}
	if got := h.objects(""); got != objects {
		t.Fatalf("%d of %d objects are left", got, objects)
	}
	h.now = h.now.Add(2 * day)
	report := h.sweep(k) // three of four exports are too many to remove unasked
	if report.Stopped != 3 || h.objects("acme/e000/") == 0 {
		t.Fatalf("their time is over, and the sweep did %+v", report)
	}
	h.confirm()
	h.now = h.now.Add(day)
	if report := h.sweep(k); report != (retention.Report{Expired: 3}) {
		t.Fatalf("confirmed, and the sweep did %+v", report)
	}
	if h.states() != "map[expired:3]" {
		t.Errorf("history has %s", h.states())
	}
}

// confirm is an operator's word.
func (h *house) confirm() {
	h.t.Helper()
	stop, _, err := retention.Stopped(h.t.Context(), h.store)
	check(h.t, err)
	check(h.t, retention.Confirm(h.t.Context(), h.store, stop.ID, "ada", h.now))
}

func TestADisagreementIsSettledOnlyWhenItIsSeenAgainAGraceLater(t *testing.T) {
	h := aged(t, 40)
	h.lose("acme/e007/interaction")
	h.put("ghost", "interaction-ghost-0001.jsonl.zip.p7m", "x")
	h.put("ghost", "notes.txt", "somebody's own")
	h.now = h.now.Add(2 * day)
	k, other := h.keeper(), h.keeper()
	sweep := func(what string, k *retention.Keeper, want retention.Report) {
		t.Helper()
		if got := h.sweep(k); got != want {
			t.Errorf("%s: the sweep did %+v, want %+v", what, got, want)
		}
	}
	sweep("at first sight", k, retention.Report{})
	sweep("at once again", k, retention.Report{})
	h.now = h.now.Add(day - time.Minute)
	sweep("within the grace", k, retention.Report{})
	sweep("a replica sees it for the first time", other, retention.Report{})
	h.now = h.now.Add(2 * time.Minute)
	sweep("a replica that saw it minutes ago", other, retention.Report{})
	sweep("a process that has just started", h.keeper(), retention.Report{})
	sweep("a grace later", k, retention.Report{Orphans: 1, Lost: 1})
	sweep("afterwards", k, retention.Report{})
	if e, _, _ := h.Export(t.Context(), "acme", "e007"); e.State != schemas.Expired || !strings.Contains(e.Reason, "1 of its 3 objects") {
		t.Errorf("the lost export is %s because %q", e.State, e.Reason)
	}
	if n := h.objects("acme/ghost/"); n != 1 {
		t.Errorf("%d objects are left of the ghost, want somebody's own", n)
	}
}

func TestADisagreementThatWentAwayStartsAnewWhenItComesBack(t *testing.T) {
	h := aged(t, 40)
	name := "acme/e007/interaction-e007-0001.jsonl.zip.p7m"
	k := h.keeper()
	check(t, h.store.Remove(t.Context(), name))
	h.sweep(k)
	h.put("e007", "interaction-e007-0001.jsonl.zip.p7m", "sealed") // a store that was away
	h.sweep(k)
	check(t, h.store.Remove(t.Context(), name))
	h.now = h.now.Add(2 * day)
	if report := h.sweep(k); report != (retention.Report{}) {
		t.Errorf("seen again for the first time, and the sweep did %+v", report)
	}
	h.now = h.now.Add(day)
	if report := h.sweep(k); report != (retention.Report{Lost: 1}) {
		t.Errorf("a grace later the sweep did %+v", report)
	}
}

func TestTooManyDisagreementsStopTheSweepUntilTheyAreConfirmed(t *testing.T) {
	for name, c := range map[string]struct {
		exports, gone int
		stops         bool
	}{
		"an empty or a wrong bucket": {12, 12, true},
		"6 percent":                  {100, 6, true},
		"5 percent":                  {100, 5, false},
		"21 exports":                 {1000, 21, true},
		"20 exports":                 {1000, 20, false},
		"1 of few":                   {3, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := aged(t, c.exports)
			for i := range c.gone {
				h.lose(fmt.Sprintf("acme/e%03d/", i))
			}
			k, replica := h.keeper(), h.keeper()
			stopped := retention.Report{}
			if c.stops {
				stopped.Stopped = c.gone
			}
			sweep := func(when string, k *retention.Keeper, want retention.Report) {
				t.Helper()
				if got := h.sweep(k); got != want {
					t.Errorf("%s the sweep did %+v, want %+v", when, got, want)
				}
			}
			sweep("at first", k, stopped)
			sweep("at first", replica, stopped)
			h.now = h.now.Add(day)
			if c.stops {
				sweep("a grace later", k, stopped)
				sweep("a grace later", replica, stopped)
				if got, want := h.states(), fmt.Sprintf("map[completed:%d]", c.exports); got != want {
					t.Errorf("before it is confirmed history has %s", got)
				}
				h.confirm()
			}
			sweep("in the end", k, retention.Report{Lost: c.gone})
			sweep("afterwards", k, retention.Report{})
			if _, _, err := retention.Stopped(t.Context(), h.store); !errors.Is(err, retention.ErrNotStopped) {
				t.Errorf("it is settled, and the stop says %v", err)
			}
		})
	}
}

func TestAConfirmationHoldsForWhatItNamesOnly(t *testing.T) {
	h := aged(t, 30)
	h.lose("acme/e000/")
	h.lose("acme/e001/")
	k := h.keeper()
	h.sweep(k)
	h.confirm()
	h.lose("acme/e002/")
	h.now = h.now.Add(day)
	if report := h.sweep(k); report != (retention.Report{Stopped: 3}) {
		t.Errorf("two are confirmed, three are lost, and the sweep did %+v", report)
	}
	if h.states() != "map[completed:30]" {
		t.Errorf("history has %s", h.states())
	}
}

func TestWhatEventsSayIsNotBelievedWhereTheBucketSaysOtherwise(t *testing.T) {
	h := aged(t, 40)
	h.accept("running")
	h.put("running", "interaction-running-0001.jsonl.zip.p7m", "sealed")
	forged := schemas.Receipt{Part: schemas.Part{Number: 9}, Name: "interaction-e001-0009.jsonl.zip.p7m"}
	for _, id := range []string{"e000", "running"} {
		h.tell(id, "failed", schemas.Failed, func(*schemas.ExportStatus) {})
	}
	h.tell("e001", "part/000009", schemas.Running, func(s *schemas.ExportStatus) { s.Part = &forged })
	h.tell("e002", "expired", schemas.Expired, func(*schemas.ExportStatus) {})
	h.tell("e003", "deleted", schemas.Deleted, func(*schemas.ExportStatus) {})
	h.tell("running", "completed", schemas.Completed, func(s *schemas.ExportStatus) {
		s.Completion = &schemas.Completion{ExpiresAt: schemas.TimeOf(h.now)}
	})
	objects := h.objects("")
	k := h.keeper()
	for range 4 {
		if report := h.sweep(k); report != (retention.Report{}) {
			t.Fatalf("the sweep did %+v", report)
		}
		if report, err := k.Expire(t.Context()); err != nil || report != (retention.Report{}) {
			t.Fatalf("the expiry did %+v, %v", report, err)
		}
		h.now = h.now.Add(2 * day)
	}
	if got := h.objects(""); got != objects {
		t.Errorf("%d of %d objects are left", got, objects)
	}
}

func TestWhatTheBucketSaysIsOverGoesHoweverManyThereAre(t *testing.T) {
	h := aged(t, 30)
	for i := range 30 { // a process died while it removed them, and history never heard of half of it
		id := fmt.Sprintf("e%03d", i)
		check(t, h.exporter().MarkCancelled(t.Context(), "acme", id))
		if i%2 == 0 {
			h.tell(id, "deleted", schemas.Deleted, func(*schemas.ExportStatus) {})
			continue
		}
		h.lose("acme/" + id + "/" + schemas.ManifestName)
	}
	h.now = h.now.Add(2 * day)
	k := h.keeper()
	h.sweep(k)
	h.now = h.now.Add(day)
	if report := h.sweep(k); report != (retention.Report{Leftovers: 15, Ended: 15}) {
		t.Errorf("the sweep did %+v", report)
	}
	if h.states() != "map[deleted:15 expired:15]" || h.objects("acme/e000/interaction")+h.objects("acme/e001/interaction") != 0 {
		t.Errorf("history has %s", h.states())
	}
}

func TestASweepAsksHistoryAboutHundredsOfExportsAtOnce(t *testing.T) {
	h := aged(t, 450)
	k := h.keeper()
	if report := h.sweep(k); report != (retention.Report{}) {
		t.Errorf("nothing is wrong, and the sweep did %+v", report)
	}
	if h.asked > 3 || h.askedParts > 3 {
		t.Errorf("history was asked %d times about 450 exports, and %d times for their parts", h.asked, h.askedParts)
	}
}

// TestFilesUnderAHoldAreNeitherExpiredNorSwept holds one of two exports past their time, and one of
// two that nobody knows any more.
func TestFilesUnderAHoldAreNeitherExpiredNorSwept(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"held", "due"} {
		h.export(id)
	}
	for _, id := range []string{"held-orphan", "orphan"} {
		h.put(id, schemas.PartName(schemas.EntityInteraction, id, schemas.Part{Number: 1}), "sealed")
	}
	h.holds = schemas.Holds{{HoldID: "case-12", Exports: []string{"held", "held-orphan"}}}
	k := h.keeper()
	pass := func(crowd string) {
		t.Helper()
		for n := range 50 { // of few exports the sweep settles none by itself
			h.export(fmt.Sprint(crowd, n))
		}
		for range 4 {
			h.now = h.now.Add(2 * day)
			_, err := k.Sweep(t.Context())
			check(t, err)
		}
		h.now = h.now.Add(30 * day)
		_, err := k.Expire(t.Context())
		check(t, err)
	}
	left := func(want ...string) {
		t.Helper()
		for _, id := range []string{"held", "due", "held-orphan", "orphan"} {
			files := 0
			objects, err := h.store.List(t.Context(), schemas.ExportPrefix("acme", id))
			check(t, err)
			for _, o := range objects {
				if strings.HasSuffix(o.Key, ".p7m") {
					files++
				}
			}
			if (files > 0) != slices.Contains(want, id) {
				t.Errorf("%s has %d files", id, files)
			}
		}
	}
	pass("before")
	left("held", "held-orphan")
	h.holds = nil
	pass("after")
	left()
}
