// Package schedule asks for the exports that jobs define, when they are due.
//
// A run's export id is made from its job and the time it was due, so two schedulers, or
// one that is started again, ask for the same export twice and get it once. What was
// asked for last is read from history; nothing else is kept. A job that exports what
// came since its last run is not due again before that run has ended: it could not say
// what it continues.
//
// # Metrics
//
//	cdds_schedule_runs_total      runs asked for
//	cdds_schedule_missed_total    runs that were due while no scheduler ran and are not made up for
//	cdds_schedule_failures_total  times a job could not be looked at; it is tried again
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/schemas"
)

// Definitions are the jobs of all tenants; *definitions.Definitions is one.
type Definitions interface {
	// Jobs lists those that are not deleted; of all tenants if tenantID is empty.
	Jobs(tenantID string) []schemas.Job
	Job(tenantID, jobID string) (schemas.Job, bool)
	// Changed is closed at the next change.
	Changed() <-chan struct{}
	// Sync returns once everything acknowledged before the call is known.
	Sync(ctx context.Context) error
}

// History knows the runs there were; *ledger.Ledger is one.
type History interface {
	// JobRuns lists them, the one due last first.
	JobRuns(ctx context.Context, tenantID, jobID string, limit int) ([]schemas.Export, error)
}

// Publisher returns once events are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Options of a Scheduler. The first three are required.
type Options struct {
	Definitions Definitions
	History     History
	Publisher   Publisher
	// Every is how often the clock is looked at; 0 means once a second. A run begins at
	// most so much late.
	Every time.Duration
	// Late is by how much a run must be late to count as missed; 0 means 5 minutes.
	Late time.Duration
	// MaxCatchUp bounds the missed runs of a job that are made up for; 0 means 100. Of
	// more, the latest are.
	MaxCatchUp int
	Registerer prometheus.Registerer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Scheduler asks for due runs. Make it with New.
type Scheduler struct {
	Options
	runs, missed, failures prometheus.Counter
	jobs                   map[string]*progress // by key; Run's alone

	mu      sync.Mutex
	started bool
	failing error
}

// progress is how far a job has come.
type progress struct {
	// revision is that of the job it is about.
	revision int
	// done is the last time for which this process asked for a run, or decided not to.
	done time.Time
	// asked is the last time for which this process asked for a run.
	asked time.Time
	// next is when the job is to be looked at again; zero means now.
	next time.Time
}

// recentRuns is how many runs are looked through for one that has not ended.
const recentRuns = 20

// New returns a Scheduler. It starts nothing.
func New(o Options) (*Scheduler, error) {
	if o.Definitions == nil || o.History == nil || o.Publisher == nil {
		return nil, errors.New("schedule: Definitions, History and Publisher are required")
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Late == 0 {
		o.Late = 5 * time.Minute
	}
	if o.MaxCatchUp == 0 {
		o.MaxCatchUp = 100
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := promauto.With(o.Registerer)
	return &Scheduler{
		Options:  o,
		runs:     f.NewCounter(prometheus.CounterOpts{Name: "cdds_schedule_runs_total", Help: "Runs asked for."}),
		missed:   f.NewCounter(prometheus.CounterOpts{Name: "cdds_schedule_missed_total", Help: "Runs that were due while no scheduler ran and are not made up for."}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "cdds_schedule_failures_total", Help: "Times a job could not be looked at."}),
		jobs:     map[string]*progress{},
	}, nil
}

// Run asks for runs as they are due until ctx ends, then returns nil. What fails is
// tried again.
func (s *Scheduler) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		changed := s.Definitions.Changed()
		err := s.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.mu.Lock()
		s.started, s.failing = s.started || err == nil, err
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Ready is nil unless the scheduler has not begun or its last pass failed.
func (s *Scheduler) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failing != nil:
		return fmt.Errorf("schedule: %w", s.failing)
	case !s.started:
		return errors.New("schedule: jobs are not read yet")
	}
	return nil
}

// pass looks at every job once. Its error joins what failed.
func (s *Scheduler) pass(ctx context.Context) error {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if !started { // an old revision of a job may be due although the last is not
		if err := s.Definitions.Sync(ctx); err != nil {
			return err
		}
	}
	var problems []error
	seen := map[string]bool{}
	for _, j := range s.Definitions.Jobs("") {
		seen[j.Key()] = true
		if err := s.look(ctx, j); err != nil && ctx.Err() == nil {
			s.failures.Inc()
			s.Logger.Warn("a job could not be looked at; trying again", "tenant", j.TenantID, "job", j.JobID, "error", err)
			if len(problems) < 10 {
				problems = append(problems, fmt.Errorf("job %s of %s: %w", j.JobID, j.TenantID, err))
			}
		}
	}
	for key := range s.jobs {
		if !seen[key] {
			delete(s.jobs, key)
		}
	}
	return errors.Join(problems...)
}

// look asks for the runs of a job that are due.
func (s *Scheduler) look(ctx context.Context, j schemas.Job) error {
	p := s.jobs[j.Key()]
	if p == nil {
		p = &progress{}
		s.jobs[j.Key()] = p
	}
	if p.revision != j.Revision {
		p.revision, p.next = j.Revision, time.Time{}
	}
	now := s.Now()
	if j.State != schemas.JobActive || now.Before(p.next) {
		return nil
	}
	runs, err := s.History.JobRuns(ctx, j.TenantID, j.JobID, recentRuns)
	if err != nil {
		return err
	}
	waiting := false
	for _, e := range runs {
		waiting = waiting || !e.State.Ended()
		if e.Request != nil && e.ExportID == RunID(j.JobID, e.Request.ScheduledAt) {
			p.done = latest(p.done, e.Request.ScheduledAt.Time)
		}
	}
	at, err := missed(j, p.done, now, s.MaxCatchUp+1)
	if err != nil || len(at) == 0 {
		return errors.Join(err, s.wait(j, p, now))
	}
	if j.Timeframe.Kind == schemas.TimeframeSinceLastRun && (waiting || !told(runs, j, p.asked)) {
		return nil // it ends, or history tells of it, and then this is due
	}
	if err := s.Definitions.Sync(ctx); err != nil {
		return err
	}
	if last, ok := s.Definitions.Job(j.TenantID, j.JobID); !ok || last.Revision != j.Revision {
		return nil // changed at the last moment: the change is looked at next
	}
	wanted := Wanted(j, at, now, s.Late, s.MaxCatchUp)
	if j.Timeframe.Kind == schemas.TimeframeSinceLastRun && len(wanted) > 1 {
		at, wanted = at[:1+slices.Index(at, wanted[0])], wanted[:1] // one after the other
	}
	for _, t := range wanted {
		r := Request(j, schemas.TimeOf(t))
		r.RequestedAt = schemas.TimeOf(now)
		if err := s.Publisher.Publish(ctx, r); err != nil {
			return err
		}
		s.runs.Inc()
		s.Logger.Info("job is due", "tenant", j.TenantID, "job", j.JobID, "export_id", r.ExportID)
	}
	if n := len(at) - len(wanted); n > 0 {
		s.missed.Add(float64(n))
		s.Logger.Warn("runs were missed and are not made up for", "tenant", j.TenantID, "job", j.JobID, "runs", n, "catch_up", j.CatchUp)
	}
	p.done = at[len(at)-1]
	if len(wanted) > 0 {
		p.asked = wanted[len(wanted)-1]
	}
	return s.wait(j, p, now)
}

// told reports whether history knows the run that was asked for last, if one was.
func told(runs []schemas.Export, j schemas.Job, asked time.Time) bool {
	return asked.IsZero() || slices.ContainsFunc(runs, func(e schemas.Export) bool {
		return e.ExportID == RunID(j.JobID, schemas.TimeOf(asked))
	})
}

// wait notes when the job is due next.
func (s *Scheduler) wait(j schemas.Job, p *progress, now time.Time) error {
	next, err := due(j, latest(now, floor(j)))
	switch {
	case errors.Is(err, errNoMore):
		p.next = now.Add(time.Hour) // the clock may be set
	case err != nil:
		return err
	default:
		p.next = next
	}
	return nil
}

// Wanted is which of the times at which a job was due it is to run for now: those that
// are not late, and of the late ones what its catch-up policy says, at most limit.
func Wanted(j schemas.Job, at []time.Time, now time.Time, late time.Duration, limit int) []time.Time {
	switch j.CatchUp {
	case schemas.CatchUpAll:
		return at[max(0, len(at)-limit):]
	case schemas.CatchUpSkip:
		for i, t := range at {
			if now.Sub(t) <= late {
				return at[i:]
			}
		}
		return nil
	}
	return at[len(at)-1:]
}
