package schedule

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/schemas"
)

// unreliable is a world whose requests fail, or are acknowledged and seem to fail, one by one, and
// whose history learns of runs late and in any order.
type unreliable struct {
	*world
	t *rapid.T
	// calm says that nothing fails any more.
	calm bool
	// untold are requests that history does not know yet.
	untold []*schemas.ExportRequest
}

var quiet = slog.New(slog.DiscardHandler)

var errNoBroker = errors.New("no broker")

// Jobs are in order: what is drawn means the same each time.
func (u *unreliable) Jobs(string) (all []schemas.Job) {
	for _, id := range slices.Sorted(maps.Keys(u.jobs)) {
		all = append(all, u.jobs[id])
	}
	return all
}

func (u *unreliable) PublishAsync(_ context.Context, e schemas.Event, done func(error)) {
	outcome := "acknowledged"
	if !u.calm {
		outcome = rapid.SampledFrom([]string{"acknowledged", "acknowledged", "lost", "acknowledged and the answer lost"}).Draw(u.t, "the request is")
	}
	r := e.(*schemas.ExportRequest)
	if outcome != "lost" {
		u.asked, u.untold = append(u.asked, r), append(u.untold, r)
	}
	if outcome == "acknowledged" {
		go done(nil)
	} else {
		go done(errNoBroker)
	}
}

func (u *unreliable) RecentRuns(ctx context.Context, jobs []string, limit int) (map[string][]schemas.JobRun, error) {
	all, err := u.world.RecentRuns(ctx, jobs, limit)
	for key, runs := range all {
		slices.SortFunc(runs, func(a, b schemas.JobRun) int { return b.ScheduledAt.Compare(a.ScheduledAt) })
		all[key] = runs[:min(len(runs), limit)]
	}
	return all, err
}

// learn has history know of a request, in a state.
func (u *unreliable) learn(n int, state schemas.State) {
	r := u.untold[n]
	u.untold = slices.Delete(u.untold, n, n+1)
	u.runs = slices.DeleteFunc(u.runs, func(e schemas.Export) bool { return e.ExportID == r.ExportID })
	u.runs = append(u.runs, schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: state, Request: r})
}

// end has all runs that history knows end.
func (u *unreliable) end() {
	for i := range u.runs {
		u.runs[i].State = schemas.Completed
	}
}

// TestWhatIsDueIsRequestedWhateverFails plays histories of two schedulers that share three jobs,
// that die and start again, and whose brokers fail for some requests and not for others.
func TestWhatIsDueIsRequestedWhateverFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{jobs: map[string]schemas.Job{}}
		w.at("08:30:00")
		begun := w.now
		for id, policy := range map[string]string{"all": schemas.CatchUpAll, "chain": schemas.CatchUpAll, "once": schemas.CatchUpOnce} {
			kind := schemas.TimeframeAll
			if id == "chain" {
				kind = schemas.TimeframeSinceLastRun
			}
			w.add(id, kind)
			j := w.jobs[id]
			j.CatchUp = policy
			w.jobs[id] = j
		}
		u := &unreliable{world: w, t: t}
		start := func() *Scheduler {
			share := rapid.SampledFrom([]string{"acme/all", "acme/once", "", "acme/chain"}).Draw(t, "does not have")
			s, err := New(Options{Definitions: u, History: u, Publisher: u, Now: func() time.Time { return w.now }, Logger: quiet, Mine: func(job string) bool { return job != share }})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		schedulers := []*Scheduler{start(), start()}
		for range rapid.IntRange(1, 40).Draw(t, "acts") {
			n := rapid.IntRange(0, 1).Draw(t, "scheduler")
			switch rapid.SampledFrom([]string{"pass", "pass", "time", "time", "learn", "end", "start again", "lose history", "change a title"}).Draw(t, "act") {
			case "pass":
				_ = schedulers[n].pass(t.Context())
			case "time":
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, 90 * time.Second, 10 * time.Minute, time.Hour, 5 * time.Hour}).Draw(t, "passes"))
			case "learn":
				if len(u.untold) > 0 {
					u.learn(rapid.IntRange(0, len(u.untold)-1).Draw(t, "of"), schemas.Running)
				}
			case "end":
				u.end()
			case "lose history": // until it is read again
				for _, e := range u.runs {
					u.untold = append(u.untold, e.Request)
				}
				u.runs = nil
			case "change a title":
				j := w.jobs["chain"]
				j.Title += "!"
				before := w.jobs["chain"]
				w.jobs["chain"] = *j.Revised(&before, "ada", schemas.TimeOf(w.now))
			case "start again":
				schedulers[n] = start()
			}
		}
		u.calm = true
		for asked, idle := 0, 0; idle < 5; idle++ {
			if len(u.asked) > asked {
				asked, idle = len(u.asked), 0
			}
			w.now = w.now.Add(2 * maxCover)
			for _, s := range schedulers {
				for len(u.untold) > 0 {
					u.learn(0, schemas.Completed)
				}
				u.end()
				if err := s.pass(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for id, job := range w.jobs {
			due, err := missed(job, begun, w.now.Add(-2*maxCover), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			asked := map[string]bool{}
			for _, r := range u.asked {
				if r.JobID == id {
					asked[r.ExportID] = true
				}
			}
			for i, at := range due {
				run := RunID(id, schemas.TimeOf(at))
				if must := job.CatchUp == schemas.CatchUpAll || i == len(due)-1; must && !asked[run] {
					t.Errorf("%s was never requested; requested were %v", run, slices.Sorted(maps.Keys(asked)))
				}
				delete(asked, run)
			}
			later, _ := missed(job, w.now.Add(-2*maxCover), w.now, 1<<20)
			for _, at := range later {
				delete(asked, RunID(id, schemas.TimeOf(at)))
			}
			if len(asked) > 0 {
				t.Errorf("requested and never due: %v", asked)
			}
		}
	})
}
