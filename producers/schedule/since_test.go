package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/schemas"
)

// ran adds a run of the job to history.
func (w *world) ran(r *schemas.ExportRequest, state schemas.State, snapshot int64, ended string) schemas.Export {
	w.at(ended)
	e := schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: state, Request: r, Snapshot: schemas.Snapshot{snapshot}}
	if state.Ended() {
		e.EndedAt = schemas.TimeOf(w.now)
	}
	w.runs = append([]schemas.Export{e}, w.runs...)
	slices.SortStableFunc(w.runs, func(a, b schemas.Export) int { return b.Request.ScheduledAt.Compare(a.Request.ScheduledAt) })
	return e
}

// clock sets the time and returns it.
func (w *world) clock(at string) schemas.Time {
	w.at(at)
	return schemas.TimeOf(w.now)
}

func runNow(t *testing.T, w *world) *schemas.ExportRequest {
	t.Helper()
	r, err := RunNow(t.Context(), w, w.jobs["hourly"], schemas.TimeOf(w.now))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheNextRunContinuesTheOneThatReachesFurthestNotTheOneDueLast(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeSinceLastRun)
	j := w.jobs["hourly"]
	// A run now at 10:00:05, and then the one that was due at 10:00:00, caught up.
	w.ran(Request(j, w.clock("10:00:05"), nil), schemas.Completed, 5, "10:00:06")
	caughtUp := w.ran(Request(j, w.clock("10:00:00"), nil), schemas.Completed, 7, "10:00:20")
	w.at("11:00:00")
	pass(t, s)
	if r := w.asked[0]; r.SinceExport != caughtUp.ExportID || !slices.Equal(r.Since, schemas.Snapshot{7}) || r.StartsOver != "" {
		t.Errorf("it continues %q from %v, starts over because %q", r.SinceExport, r.Since, r.StartsOver)
	}
}

func TestWhileARunSinceTheLastIsAtWorkAnotherIsRefusedWithItsID(t *testing.T) {
	w, _ := newWorld(t, schemas.TimeframeSinceLastRun)
	w.at("09:00:00")
	first, second := runNow(t, w), runNow(t, w) // two clicks before history knows of the first
	if first.ExportID != second.ExportID {
		t.Errorf("two clicks are two exports, %s and %s", first.ExportID, second.ExportID)
	}
	for _, state := range []schemas.State{schemas.Requested, schemas.Planned, schemas.Running} {
		w.runs = nil
		w.ran(first, state, 3, "09:00:01")
		_, err := RunNow(t.Context(), w, w.jobs["hourly"], schemas.TimeOf(w.now))
		var overlap *OverlapError
		if !errors.As(err, &overlap) || !strings.Contains(err.Error(), first.ExportID) {
			t.Errorf("while one is %s another gets %v", state, err)
		}
	}
	w.runs = nil
	w.ran(first, schemas.Failed, 3, "09:00:02")
	if again := runNow(t, w); again.ExportID == first.ExportID {
		t.Error("after it failed, another run has the same id")
	}
	w.jobs["hourly"] = func() schemas.Job {
		j := w.jobs["hourly"]
		j.Timeframe.Kind = schemas.TimeframeAll
		return j
	}()
	w.runs = nil
	w.ran(first, schemas.Running, 3, "09:00:01")
	runNow(t, w) // whole ones do not depend on each other
}

func TestARunStartsOverAndSaysWhyIfItCannotContinue(t *testing.T) {
	for why, c := range map[string]struct {
		change func(*schemas.Job)
		ran    func(w *world, j schemas.Job)
		says   string
	}{
		"a wider filter":         {change: func(j *schemas.Job) { j.MediaTypes = nil }, says: "the filter is not that of run"},
		"a narrower filter":      {change: func(j *schemas.Job) { j.Queues = []string{"sales"} }, says: "the filter is not that of run"},
		"other attributes":       {change: func(j *schemas.Job) { j.Attributes = map[string]string{"region": "south"} }, says: "the filter is not that of run"},
		"attachments since then": {change: func(j *schemas.Job) { j.Attachments = schemas.AttachmentsIncluded }, says: "the filter is not that of run"},
		"a retry that came late": {ran: func(w *world, j schemas.Job) {
			w.ran(Request(j, w.clock("08:31:00"), nil), schemas.Completed, 2, "10:00:00")
		}, says: "ended after one that reaches further"},
		"another title":         {change: func(j *schemas.Job) { j.Title = "Another" }},
		"the same, spelled out": {change: func(j *schemas.Job) { j.MediaTypes = []string{"voice", "chat"} }},
		"another entity": {change: func(j *schemas.Job) {
			j.Entity, j.MediaTypes, j.Match = schemas.EntityContact, nil, schemas.Match{}
		}, says: "-"},
	} {
		t.Run(why, func(t *testing.T) {
			w, _ := newWorld(t, schemas.TimeframeSinceLastRun)
			j := w.jobs["hourly"]
			j.MediaTypes, j.Attributes, j.Attachments = []string{"chat", "voice"}, map[string]string{"region": "north"}, schemas.AttachmentsNone
			last := w.ran(Request(j, w.clock("09:00:00"), nil), schemas.Completed, 7, "09:00:10")
			if c.ran != nil {
				c.ran(w, j)
			}
			if c.change != nil {
				c.change(&j)
			}
			w.jobs["hourly"] = j
			w.at("11:00:00")
			r := runNow(t, w)
			switch {
			case c.says == "" && (r.SinceExport != last.ExportID || r.StartsOver != ""):
				t.Errorf("it continues %q, starts over because %q", r.SinceExport, r.StartsOver)
			case c.says == "-" && (r.SinceExport != "" || r.StartsOver != ""): // the first of its kind
				t.Errorf("it continues %q, starts over because %q", r.SinceExport, r.StartsOver)
			case len(c.says) > 1 && (r.SinceExport != "" || r.Since != nil || !strings.Contains(r.StartsOver, c.says)):
				t.Errorf("it continues %q, starts over because %q, want %q", r.SinceExport, r.StartsOver, c.says)
			}
			w.ran(r, schemas.Completed, 9, "11:00:10")
			w.at("12:00:00")
			if next := runNow(t, w); next.SinceExport != r.ExportID || next.StartsOver != "" {
				t.Errorf("the one after it continues %q, starts over because %q", next.SinceExport, next.StartsOver)
			}
		})
	}
}

func TestARunIsNotRetriedOnceAnotherHoldsItsRows(t *testing.T) {
	w, _ := newWorld(t, schemas.TimeframeSinceLastRun)
	j := w.jobs["hourly"]
	base := w.ran(Request(j, w.clock("08:31:00"), nil), schemas.Completed, 2, "08:31:10")
	continuing := func(clock string) *schemas.ExportRequest {
		return Request(j, w.clock(clock), &Completed{Last: base})
	}
	planned := w.ran(continuing("09:00:00"), schemas.Failed, 5, "09:00:10")
	unaccepted := planned
	unaccepted.Snapshot = nil
	check := func(e schemas.Export, says string) {
		t.Helper()
		err := CheckRetry(t.Context(), w, j, e)
		var overlap *OverlapError
		if says == "" && err != nil || says != "" && (!errors.As(err, &overlap) || !strings.Contains(err.Error(), says)) {
			t.Errorf("retrying says %v, want %q", err, says)
		}
	}
	check(planned, "")
	check(unaccepted, "")
	w.ran(continuing("10:00:00"), schemas.Running, 8, "10:00:01")
	check(planned, "hourly-20260505T100000Z of the job is at work")
	w.runs[0].State, w.runs[0].EndedAt = schemas.Completed, schemas.TimeOf(w.now)
	check(planned, "hourly-20260505T100000Z was completed since")
	check(unaccepted, "hourly-20260505T100000Z was completed since")
	j.Timeframe.Kind = schemas.TimeframeAll
	check(planned, "")
}

// TestAReceiverOfAllRunsHasTheNewestVersionOfEverything draws histories of publishing, of
// runs due and run now by schedulers whose history lags, of runs that fail, are retried
// (also by those who do not check), and of filters that change. A receiver applies runs in
// the order in which they end. Whenever one more run was completed with nothing else at
// work, it has the newest version of all that the job selects.
func TestAReceiverOfAllRunsHasTheNewestVersionOfEverything(t *testing.T) {
	histories := func(rt *rapid.T) {
		w, s := newWorld(t, schemas.TimeframeSinceLastRun)
		var log []int         // the interaction at each position
		held := map[int]int{} // by the receiver: the position of the version
		chosen := map[string]bool{"chat": true, "voice": true}
		media := func(interaction int) string { return []string{"chat", "voice"}[interaction%2] }
		end := func(n int, state schemas.State) {
			e := &w.runs[n]
			e.State, e.EndedAt = state, schemas.TimeOf(w.now)
			if state != schemas.Completed {
				return
			}
			from, to := int64(0), e.Snapshot[0]
			if e.Request.Since != nil {
				from = e.Request.Since[0]
			}
			for position := from; position < to; position++ {
				if i := log[position]; len(e.Request.MediaTypes) == 0 || slices.Contains(e.Request.MediaTypes, media(i)) {
					held[i] = int(position)
				}
			}
		}
		accept := func() { // history learns of what was asked for
			for _, r := range w.asked {
				if !slices.ContainsFunc(w.runs, func(e schemas.Export) bool { return e.ExportID == r.ExportID }) {
					before := w.now
					w.ran(r, schemas.Running, int64(len(log)), "00:00:00")
					w.now = before
				}
			}
		}
		working := func() (all []int) {
			for n, e := range w.runs {
				if !e.State.Ended() {
					all = append(all, n)
				}
			}
			return all
		}
		now := func() {
			if r, err := RunNow(t.Context(), w, w.jobs["hourly"], schemas.TimeOf(w.now)); err == nil {
				w.asked = append(w.asked, r)
			}
		}
		for range rapid.IntRange(10, 60).Draw(rt, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 50).Draw(rt, "minutes")) * time.Minute)
			step := rapid.SampledFrom([]string{"publish", "publish", "due", "now", "accept", "complete", "complete", "fail", "retry", "retry unchecked", "retry unchecked", "filter"}).Draw(rt, "step")
			switch step {
			case "publish":
				for range rapid.IntRange(1, 3).Draw(rt, "versions") {
					log = append(log, rapid.IntRange(0, 2).Draw(rt, "interaction"))
				}
			case "due":
				if err := s.pass(t.Context()); err != nil {
					rt.Fatal(err)
				}
			case "now":
				now()
			case "accept":
				accept()
			case "complete", "fail":
				state := map[string]schemas.State{"complete": schemas.Completed, "fail": schemas.Failed}[step]
				if accept(); len(working()) > 0 {
					end(rapid.SampledFrom(working()).Draw(rt, "which"), state)
				}
			case "retry", "retry unchecked":
				for n, e := range w.runs {
					if e.State == schemas.Failed && (step == "retry unchecked" || CheckRetry(t.Context(), w, w.jobs["hourly"], e) == nil) {
						w.runs[n].State = schemas.Running
						break
					}
				}
			case "filter":
				j := w.jobs["hourly"]
				j.MediaTypes = rapid.SampledFrom([][]string{nil, {"chat"}, {"voice"}}).Draw(rt, "media")
				j.Revision++
				w.jobs["hourly"] = j
				chosen = map[string]bool{"chat": j.MediaTypes == nil || j.MediaTypes[0] == "chat", "voice": j.MediaTypes == nil || j.MediaTypes[0] == "voice"}
			}
		}
		w.now = w.now.Add(time.Minute)
		accept()
		for len(working()) > 0 { // everything ends, in whatever order, and then one more run
			w.now = w.now.Add(time.Minute)
			end(rapid.SampledFrom(working()).Draw(rt, "which"), schemas.Completed)
		}
		w.now = w.now.Add(time.Minute)
		now()
		accept()
		w.now = w.now.Add(time.Minute)
		end(working()[0], schemas.Completed)
		newest := map[int]int{}
		for position, i := range log {
			newest[i] = position
		}
		for i, position := range newest {
			if has, any := held[i]; chosen[media(i)] && (!any || has != position) {
				rt.Fatalf("of interaction %d the receiver has the version at %d (any: %t), the newest is at %d%s", i, has, any, position, story(w.runs))
			}
		}
	}
	for range 10 { // a hundred each, some milliseconds
		rapid.Check(t, histories)
	}
}

func story(runs []schemas.Export) string {
	var b strings.Builder
	for _, e := range runs {
		fmt.Fprintf(&b, "\n%s %s to %v since %q %v, ended %s, %q", e.ExportID, e.State, e.Snapshot, e.Request.SinceExport, e.Request.Since, e.EndedAt, e.Request.StartsOver)
	}
	return b.String()
}
