// Package schedule asks for the exports that jobs define, when they are due.
//
// A run's export id is made from its job and the time it was due, so two schedulers, or
// one that is started again, request the same export twice and get it once. History says
// which run was requested last; nothing else is kept. A job that exports what came since
// its last run is not due again before that run has ended: it could not say what it
// continues.
//
// A pass handles all due jobs together: it reads their runs from history a thousand jobs
// at a time, syncs the definitions once, and publishes all requests at once. Several
// schedulers share the jobs (Options.Mine). A share only saves work: the jobs of others
// are handled too, up to a minute later, when history shows that a run was not requested.
//
// # Metrics
//
//	cdds_schedule_jobs            active jobs in the share of this scheduler
//	cdds_schedule_runs_total      runs requested
//	cdds_schedule_missed_total    runs that were due while no scheduler ran and are not made up for
//	cdds_schedule_failures_total  times a job failed to be handled; it is retried
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// RecentRuns returns the runs of each of the jobs, by Job.Key, at most limit a job: the
	// ones due last.
	RecentRuns(ctx context.Context, jobs []string, limit int) (map[string][]schemas.JobRun, error)
}

// Publisher publishes requests; *producers.Publisher is one.
type Publisher interface {
	// PublishAsync takes e, waiting while too much is outstanding, and calls done once e is
	// acknowledged or given up. done must not block.
	PublishAsync(ctx context.Context, e schemas.Event, done func(error))
}

// Options of a Scheduler. The first three are required.
type Options struct {
	Definitions Definitions
	History     History
	Publisher   Publisher
	// Mine says which jobs, by Job.Key, are this scheduler's share; nil means all. It may
	// change at any time, and schedulers may disagree.
	Mine func(job string) bool
	// Every is how often the scheduler checks for due jobs; 0 means once a second. A run
	// begins at most so much late.
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

// Scheduler requests due runs. Make it with New.
type Scheduler struct {
	Options
	runs, missed, failures prometheus.Counter
	share                  prometheus.Gauge
	jobs                   map[string]*progress // by key; Run's alone

	mu      sync.Mutex
	started bool
	failing error
}

// progress is how far a job has come.
type progress struct {
	// revision is that of the job it is about.
	revision int
	// done is the last time for which this process requested a run, or decided not to.
	done time.Time
	// asked is the last time for which this process requested a run.
	asked time.Time
	// next is when the job is due next; zero means now.
	next time.Time
}

const (
	// recentRuns is how many of a job's runs are searched for one that has not ended.
	recentRuns = 20
	// batch bounds how many jobs' runs are in memory at once.
	batch = 1000
	// maxCover is how long a scheduler leaves a due job to the one whose share it is in.
	maxCover = time.Minute
	// maxLogged bounds how many failures a pass logs one by one.
	maxLogged = 10
)

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
	if o.Mine == nil {
		o.Mine = func(string) bool { return true }
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
		runs:     f.NewCounter(prometheus.CounterOpts{Name: "cdds_schedule_runs_total", Help: "Runs requested."}),
		missed:   f.NewCounter(prometheus.CounterOpts{Name: "cdds_schedule_missed_total", Help: "Runs that were due while no scheduler ran and are not made up for."}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "cdds_schedule_failures_total", Help: "Times a job failed to be handled."}),
		share:    f.NewGauge(prometheus.GaugeOpts{Name: "cdds_schedule_jobs", Help: "Active jobs in the share of this scheduler."}),
		jobs:     map[string]*progress{},
	}, nil
}

// Run requests runs as they are due until ctx ends, then returns nil. It retries what fails.
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
