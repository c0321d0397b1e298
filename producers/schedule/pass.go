package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cdds/schemas"
)

// dueJob is a job that may be due.
type dueJob struct {
	job      schemas.Job
	progress *progress
	// asOf is the time as of which it is handled: now, or for a job in another's share a while
	// ago, so that the other comes first, but before its runs count as late.
	asOf   time.Time
	at     []time.Time // when it was due
	wanted []time.Time // those of at to request a run for; the others are missed
	// more says that it was due later, too, and that those runs come one after the other.
	more bool
}

// pass handles every job once. Its error joins what failed.
func (s *Scheduler) pass(ctx context.Context) error {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if !started { // an old revision of a job may be due although the last is not
		if err := s.Definitions.Sync(ctx); err != nil {
			return err
		}
	}
	now := s.Now()
	var failed failures
	var all []dueJob
	for some := range slices.Chunk(s.open(now), batch) {
		keys := make([]string, len(some))
		for i, d := range some {
			keys[i] = d.job.Key()
		}
		runs, unread := s.History.RecentRuns(ctx, keys, recentRuns)
		for i, d := range some {
			err := unread
			if err == nil {
				err = s.decide(&d, runs[keys[i]], now)
			}
			if err != nil {
				failed.add(d.job, err)
			} else if len(d.at) > 0 {
				all = append(all, d)
			}
		}
	}
	if len(all) > 0 {
		s.request(ctx, all, now, &failed)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.failures.Add(float64(failed.n))
	if failed.n > 0 {
		s.Logger.Warn("jobs failed to be handled; retrying", "jobs", failed.n, "error", failed.err())
	}
	return failed.err()
}

// failures are those of a pass: of thousands that fail alike, the first few are named.
type failures struct {
	n     int
	first []error
}

func (f *failures) add(j schemas.Job, err error) {
	if f.n++; len(f.first) < maxLogged {
		f.first = append(f.first, fmt.Errorf("job %s of %s: %w", j.JobID, j.TenantID, err))
	}
}

func (f *failures) err() error { return errors.Join(f.first...) }

// open returns the jobs that may be due, and forgets those that are gone.
func (s *Scheduler) open(now time.Time) (open []dueJob) {
	seen := map[string]bool{}
	share := 0
	for _, j := range s.Definitions.Jobs("") {
		key := j.Key()
		seen[key] = true
		p := s.jobs[key]
		if p == nil {
			p = &progress{}
			s.jobs[key] = p
		}
		if p.revision != j.Revision {
			p.revision, p.next = j.Revision, time.Time{}
		}
		if j.State != schemas.JobActive {
			continue
		}
		asOf := now
		if s.Mine(key) {
			share++
		} else {
			asOf = now.Add(-min(maxCover, s.Late/2))
		}
		if !asOf.Before(p.next) {
			open = append(open, dueJob{job: j, progress: p, asOf: asOf})
		}
	}
	s.share.Set(float64(share))
	for key := range s.jobs {
		if !seen[key] {
			delete(s.jobs, key)
		}
	}
	return open
}

// decide finds out which runs of a job are due.
func (s *Scheduler) decide(d *dueJob, runs []schemas.JobRun, now time.Time) error {
	j, p := d.job, d.progress
	waiting := false
	for _, r := range runs {
		waiting = waiting || !r.State.Ended()
		if r.ExportID == RunID(j.JobID, r.ScheduledAt) {
			p.done = latest(p.done, r.ScheduledAt.Time)
		}
	}
	at, err := missed(j, p.done, d.asOf, s.MaxCatchUp+1)
	if err != nil || len(at) == 0 {
		return errors.Join(err, p.wait(j, d.asOf))
	}
	chained := j.Timeframe.Kind == schemas.TimeframeSinceLastRun
	if chained && (waiting || !known(runs, j, p.asked)) {
		return nil // once history says that the last run ended, this one is due
	}
	d.at, d.wanted = at, Wanted(j, at, now, s.Late, s.MaxCatchUp)
	if chained && len(d.wanted) > 1 {
		d.at, d.wanted, d.more = at[:1+slices.Index(at, d.wanted[0])], d.wanted[:1], true
	}
	return nil
}

// known reports whether history knows the run that was requested last, if one was.
func known(runs []schemas.JobRun, j schemas.Job, asked time.Time) bool {
	return asked.IsZero() || slices.ContainsFunc(runs, func(r schemas.JobRun) bool {
		return r.ExportID == RunID(j.JobID, schemas.TimeOf(asked))
	})
}

// wait notes when the job is due after an instant.
func (p *progress) wait(j schemas.Job, after time.Time) error {
	next, err := due(j, latest(after, floor(j)))
	switch {
	case errors.Is(err, errNoMore):
		p.next = after.Add(time.Hour) // the clock may be set
	case err != nil:
		return err
	default:
		p.next = next
	}
	return nil
}

// request publishes the requests for all due runs and notes how far each job has come.
// One that fails is retried in the next pass and hinders no other.
func (s *Scheduler) request(ctx context.Context, all []dueJob, now time.Time, failed *failures) {
	if err := s.Definitions.Sync(ctx); err != nil {
		for _, d := range all {
			failed.add(d.job, err)
		}
		return
	}
	all = slices.DeleteFunc(all, func(d dueJob) bool {
		last, ok := s.Definitions.Job(d.job.TenantID, d.job.JobID)
		return !ok || last.Revision != d.job.Revision // changed at the last moment: the next pass handles it
	})
	errs := s.publish(ctx, all, now)
	for i, d := range all {
		err := errs[i]
		if err == nil {
			err = s.note(d)
		}
		if err != nil {
			failed.add(d.job, err)
		}
	}
}

// publish publishes the requests for the wanted runs of jobs: of all jobs at once, and of each job
// one after the other. Once history knows a run, none from before it is looked for: that has to be
// acknowledged by then.
func (s *Scheduler) publish(ctx context.Context, all []dueJob, now time.Time) []error {
	errs := make([]error, len(all))
	for n, left := 0, true; left; n++ {
		left = false
		var outstanding sync.WaitGroup
		for i, d := range all {
			if errs[i] != nil || n >= len(d.wanted) {
				continue
			}
			left = true
			r := Request(d.job, schemas.TimeOf(d.wanted[n]))
			r.RequestedAt = schemas.TimeOf(now)
			outstanding.Add(1)
			s.Publisher.PublishAsync(ctx, r, func(err error) {
				errs[i] = err
				outstanding.Done()
			})
		}
		outstanding.Wait()
	}
	return errs
}

// note is called once the wanted runs of a job are requested.
func (s *Scheduler) note(d dueJob) error {
	j, p := d.job, d.progress
	s.runs.Add(float64(len(d.wanted)))
	for _, t := range d.wanted {
		s.Logger.Info("job is due", "tenant", j.TenantID, "job", j.JobID, "export_id", RunID(j.JobID, schemas.TimeOf(t)))
	}
	if n := len(d.at) - len(d.wanted); n > 0 {
		s.missed.Add(float64(n))
		s.Logger.Warn("runs were missed and are not made up for", "tenant", j.TenantID, "job", j.JobID, "runs", n, "catch_up", j.CatchUp)
	}
	p.done = d.at[len(d.at)-1]
	if len(d.wanted) > 0 {
		p.asked = d.wanted[len(d.wanted)-1]
	}
	if d.more {
		return nil
	}
	return p.wait(j, d.asOf)
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
