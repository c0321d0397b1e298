package schedule

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// world is jobs, history and the topic of requests in memory.
type world struct {
	jobs    map[string]schemas.Job
	late    map[string]schemas.Job // what Sync finds
	runs    []schemas.Export
	asked   []*schemas.ExportRequest
	refuses error
	refused string // the job whose requests alone are refused
	now     time.Time

	questions, syncs int // how often history and the definitions' log were read
}

func (w *world) Jobs(string) (all []schemas.Job) {
	for _, j := range w.jobs {
		all = append(all, j)
	}
	return all
}

func (w *world) Job(_, id string) (schemas.Job, bool) { j, ok := w.jobs[id]; return j, ok }

func (w *world) Changed() <-chan struct{} { return nil }

func (w *world) Sync(context.Context) error {
	w.syncs++
	for id, j := range w.late {
		w.jobs[id] = j
	}
	return nil
}

func (w *world) RecentRuns(_ context.Context, jobs []string, _ int) (map[string][]schemas.JobRun, error) {
	w.questions++
	all := map[string][]schemas.JobRun{}
	for _, e := range w.runs {
		if key := e.TenantID + "/" + e.Request.JobID; slices.Contains(jobs, key) {
			all[key] = append(all[key], schemas.JobRun{ExportID: e.ExportID, State: e.State, ScheduledAt: e.Request.ScheduledAt})
		}
	}
	return all, nil
}

func (w *world) PublishAsync(_ context.Context, e schemas.Event, done func(error)) {
	r := e.(*schemas.ExportRequest)
	switch {
	case w.refuses != nil && (w.refused == "" || w.refused == r.JobID):
		go done(w.refuses)
	default:
		w.asked = append(w.asked, r)
		go done(nil)
	}
}

// tell makes history know of the last request, in a state.
func (w *world) tell(state schemas.State) {
	r := w.asked[len(w.asked)-1]
	e := schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: state, Request: r, Snapshot: schemas.Snapshot{int64(len(w.asked))}, EndedAt: schemas.TimeOf(w.now)}
	w.runs = slices.DeleteFunc(w.runs, func(o schemas.Export) bool { return o.ExportID == e.ExportID })
	w.runs = append([]schemas.Export{e}, w.runs...)
}

func (w *world) ids() (all []string) {
	for _, r := range w.asked {
		all = append(all, r.ExportID)
	}
	return all
}

func (w *world) at(clock string) { w.now, _ = time.Parse(time.RFC3339, "2026-05-05T"+clock+"Z") }

func newWorld(t *testing.T, kind string) (*world, *Scheduler) {
	t.Helper()
	w := &world{jobs: map[string]schemas.Job{}}
	w.at("08:30:00")
	w.add("hourly", kind)
	return w, w.scheduler(t)
}

func (w *world) add(id, kind string) {
	w.jobs[id] = *schemas.Job{
		TenantID: "acme", JobID: id, Title: "Hourly", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunHours, EveryHours: 1}, Timeframe: schemas.Timeframe{Kind: kind},
		Recipients: []string{strings.Repeat("ab", 32)},
	}.Revised(nil, "ada", schemas.TimeOf(w.now))
}

func (w *world) scheduler(t *testing.T) *Scheduler {
	t.Helper()
	s, err := New(Options{
		Definitions: w, History: w, Publisher: w, Now: func() time.Time { return w.now },
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pass(t *testing.T, s *Scheduler) {
	t.Helper()
	if err := s.pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestARunSinceTheLastWaitsUntilThatHasEnded(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeSinceLastRun)
	w.at("09:00:00")
	pass(t, s)
	w.at("10:00:00")
	pass(t, s) // history does not know the first yet
	w.tell(schemas.Running)
	pass(t, s) // it has not ended
	if got := w.ids(); !slices.Equal(got, []string{"hourly-20260505T090000Z"}) {
		t.Fatalf("asked for %v before the first ended", got)
	}
	w.tell(schemas.Completed)
	pass(t, s)
	// Which run it continues is decided when it begins.
	if last := w.asked[len(w.asked)-1]; len(w.asked) != 2 || !last.Chained || last.SinceExport != "" {
		t.Fatalf("asked for %+v", last)
	}
}

func TestARunSaysFromWhenOnItMayContinueAnother(t *testing.T) {
	w, _ := newWorld(t, schemas.TimeframeSinceLastRun)
	j, at := w.jobs["hourly"], schemas.TimeOf(w.now)
	for name, c := range map[string]struct{ made, restarted, want schemas.Time }{
		"a job":                         {schemas.TimeOf(w.now.Add(-time.Hour)), schemas.Time{}, schemas.TimeOf(w.now.Add(-time.Hour))},
		"one that was started over":     {schemas.TimeOf(w.now.Add(-time.Hour)), at, at},
		"one that was made again since": {at, schemas.TimeOf(w.now.Add(-time.Hour)), at},
	} {
		j.CreatedAt, j.ChainFrom = c.made, c.restarted
		if r := Request(j, at); !r.Chained || r.ChainFrom != c.want {
			t.Errorf("%s: it continues what came past %s, want %s", name, r.ChainFrom, c.want)
		}
	}
	j.Timeframe.Kind = schemas.TimeframeAll
	if r := Request(j, at); r.Chained || !r.ChainFrom.IsZero() {
		t.Errorf("a whole run is chained: %+v", r)
	}
}

func TestAJobThatWasSuspendedJustBeforeItWasDueDoesNotRun(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeAll)
	pass(t, s)
	s.started = true // as Run does after a pass
	j := w.jobs["hourly"]
	j.State = schemas.JobSuspended
	w.late = map[string]schemas.Job{"hourly": *j.Revised(&j, "ada", schemas.TimeOf(w.now))}
	w.at("09:00:00")
	pass(t, s)
	if len(w.asked) != 0 {
		t.Errorf("asked for %v", w.ids())
	}
}

func TestASchedulerThatIsStartedAgainAsksForTheSameIfHistoryLags(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeAll)
	w.at("09:00:00")
	pass(t, s)
	pass(t, s)
	pass(t, w.scheduler(t))
	if len(w.asked) != 2 || w.asked[0].ExportID != w.asked[1].ExportID || w.asked[0].Digest() != w.asked[1].Digest() {
		t.Fatalf("asked for %v", w.ids())
	}
	w.tell(schemas.Completed)
	pass(t, w.scheduler(t))
	if len(w.asked) != 2 {
		t.Errorf("asked for %v although history knows it", w.ids())
	}
}

func TestARunThatCouldNotBeAskedForIsAskedForLater(t *testing.T) {
	w, s := newWorld(t, schemas.TimeframeAll)
	w.at("09:00:00")
	w.refuses = errors.New("no broker")
	if err := s.pass(t.Context()); !errors.Is(err, w.refuses) {
		t.Fatalf("got %v", err)
	}
	w.refuses = nil
	pass(t, s)
	if got := w.ids(); !slices.Equal(got, []string{"hourly-20260505T090000Z"}) {
		t.Errorf("asked for %v", got)
	}
}
