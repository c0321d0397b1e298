package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

func TestTenThousandJobsThatAreDueAtOnceTakeTenQuestions(t *testing.T) {
	const jobs = 10_000
	w, s := newWorld(t, schemas.TimeframeAll)
	delete(w.jobs, "hourly")
	for n := range jobs {
		w.add(fmt.Sprintf("job-%d", n), schemas.TimeframeAll)
	}
	pass(t, s)
	s.started = true // as Run does after a pass
	w.questions, w.syncs = 0, 0
	w.at("09:00:00")
	pass(t, s)
	if w.questions != jobs/batch || w.syncs != 1 {
		t.Errorf("a pass asked history %d times and synced %d times, want %d and 1", w.questions, w.syncs, jobs/batch)
	}
	pass(t, s) // nothing is due any more
	ids := w.ids()
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != jobs || len(w.asked) != jobs || w.questions != jobs/batch {
		t.Errorf("%d requests for %d runs of %d jobs, %d questions", len(w.asked), n, jobs, w.questions)
	}
}

func TestAJobThatFailsHindersNoOther(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeAll)
	w.add("good", schemas.TimeframeAll)
	w.at("09:00:00")
	w.refuses, w.refused = errors.New("too large"), "hourly"
	if err := s.pass(t.Context()); !errors.Is(err, w.refuses) || strings.Contains(err.Error(), "good") {
		t.Errorf("got %v", err)
	}
	w.refuses = nil
	pass(t, s)
	if got, want := w.ids(), []string{"good-20260505T090000Z", "hourly-20260505T090000Z"}; !slices.Equal(got, want) {
		t.Errorf("requested %v, want %v", got, want)
	}
}

// sharing returns two schedulers of one world: jobs with an even number are the first's.
func sharing(t *testing.T, w *world) (even, odd *Scheduler) {
	t.Helper()
	even, odd = w.scheduler(t), w.scheduler(t)
	isEven := func(job string) bool { return strings.ContainsAny(job[len(job)-1:], "02468") }
	even.Mine = isEven
	odd.Mine = func(job string) bool { return !isEven(job) }
	return even, odd
}

func TestTwoSchedulersShareTheJobs(t *testing.T) {
	w, _ := newWorld(t, schemas.TimeframeAll)
	delete(w.jobs, "hourly")
	for n := range 10 {
		w.add(fmt.Sprintf("job-%d", n), schemas.TimeframeAll)
	}
	even, odd := sharing(t, w)
	for hour := 9; hour < 12; hour++ {
		w.at(fmt.Sprintf("%02d:00:00", hour))
		for _, s := range []*Scheduler{even, odd} {
			before := len(w.asked)
			pass(t, s)
			if n := len(w.asked) - before; n != 5 {
				t.Errorf("at %d:00 a scheduler requested %d runs, want 5: its share", hour, n)
			}
		}
		for _, r := range w.asked {
			w.runs = append(w.runs, schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: schemas.Running, Request: r})
		}
		w.now = w.now.Add(30 * time.Minute) // each sees that the other did its share
		pass(t, even)
		pass(t, odd)
	}
	ids := w.ids()
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 30 || len(w.asked) != 30 {
		t.Errorf("%d requests for %d runs, want 30", len(w.asked), n)
	}
}

func TestTheRunsOfASchedulerThatDiedAreRequestedByTheOther(t *testing.T) {
	for name, survives := range map[string]func(w *world, alive *Scheduler){
		"before they are late": func(*world, *Scheduler) {},
		"at once when the group notices": func(w *world, alive *Scheduler) {
			w.at("10:00:01")
			alive.Mine = func(string) bool { return true }
		},
		"also when shares change to and fro": func(w *world, alive *Scheduler) {
			share := alive.Mine
			alive.Mine = func(string) bool { return true }
			w.at("10:00:01")
			pass(t, alive)
			alive.Mine = share
			w.at("10:00:02")
			pass(t, alive)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newWorld(t, schemas.TimeframeAll)
			delete(w.jobs, "hourly")
			for n := range 4 {
				w.add(fmt.Sprintf("job-%d", n), schemas.TimeframeAll)
				job := w.jobs[fmt.Sprintf("job-%d", n)]
				job.CatchUp = schemas.CatchUpSkip // its late runs would be lost
				w.jobs[job.JobID] = job
			}
			dead, alive := sharing(t, w)
			w.at("09:00:00")
			pass(t, dead)
			pass(t, alive)
			for _, r := range w.asked {
				w.runs = append(w.runs, schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: schemas.Completed, Request: r})
			}
			w.at("10:00:00")
			pass(t, alive) // and the other died
			w.at("10:01:00")
			survives(w, alive)
			pass(t, alive)
			ids := w.ids()
			slices.Sort(ids)
			if n := len(slices.Compact(ids)); n != 8 || len(w.asked) != 8 {
				t.Errorf("%d requests for %d runs, want 8: %v", len(w.asked), n, w.ids())
			}
		})
	}
}

func TestACoveredRunIsNeverLateEnoughToBeSkipped(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeAll)
	job := w.jobs["hourly"]
	job.CatchUp = schemas.CatchUpSkip
	w.jobs["hourly"] = job
	s.Late, s.Mine = 10*time.Second, func(string) bool { return false }
	pass(t, s)
	w.at("09:00:00")
	for range 20 {
		pass(t, s)
		w.now = w.now.Add(time.Second)
	}
	if got := w.ids(); !slices.Equal(got, []string{"hourly-20260505T090000Z"}) {
		t.Errorf("requested %v", got)
	}
}

func TestASchedulerThatStartsJustAfterAnothersJobWasDueCoversThatRunToo(t *testing.T) {
	for name, last := range map[string]schemas.State{"the run before completed": schemas.Completed, "the run before was missed": ""} {
		t.Run(name, func(t *testing.T) {
			w, s := newWorld(t, schemas.TimeframeAll)
			w.at("09:00:00")
			if last != "" {
				pass(t, s)
				w.tell(last)
			}
			started := w.scheduler(t)
			started.Mine = func(string) bool { return false }
			w.at("10:00:30")
			pass(t, started)
			w.at("10:01:00")
			pass(t, started)
			if got, want := w.ids(), []string{"hourly-20260505T090000Z", "hourly-20260505T100000Z"}; !slices.Equal(got, want) {
				t.Errorf("requested %v, want %v", got, want)
			}
		})
	}
}
