package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// Feed gives the runs of a chain.
type Feed interface {
	// Runs returns the runs after a number, in order: some of them, or none if there are none
	// yet.
	Runs(ctx context.Context, after int) (schemas.ChainRuns, error)
	// Fetch returns a directory with a run's files: dir, into which it brought those that were
	// not there, or another one.
	Fetch(ctx context.Context, run schemas.ChainRun, dir string) (string, error)
	// Acknowledge reports how far the copy is.
	Acknowledge(ctx context.Context, p Position) error
}

// BehindError says that the files of the next run are gone.
type BehindError struct {
	JobID  string
	Number int
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("run %d of job %s comes next, but its files are gone; start over with a run that holds everything: `cdds job restart-chain %[2]s`", e.Number, e.JobID)
}

// Follower brings a copy up to date with a chain.
type Follower struct {
	Feed Feed
	Copy *Copy
	// Open opens a run that was fetched, with the receiver's key; scratch is where it may have
	// plaintext for a moment.
	Open func(ctx context.Context, dir, scratch string) (*receiver.Export, error)
	// Work is a directory for the run at hand. What is fetched stays there until it is applied.
	Work string
	// Now is the clock.
	Now func() schemas.Time
	// Applied, if it is not nil, is called for every run that was applied.
	Applied func(Applied)
}

// Follow applies the runs there are by now, and returns how many those were and where the
// copy is. It is a *BehindError if files of the run that comes next are gone, a *LinkError
// if that run does not continue the copy. Whatever the error, the copy is whole, and the
// next call goes on.
func (f *Follower) Follow(ctx context.Context) (applied int, at Position, err error) {
	for {
		runs, err := f.Feed.Runs(ctx, at.Number)
		if err != nil {
			return applied, at, err
		}
		asked := at.Number
		at, err = f.Copy.Position(ctx, runs.Entity)
		var changed *ChangedError
		if err != nil && !errors.As(err, &changed) {
			return applied, at, err
		}
		if at.Number > asked { // what comes after it was not asked for
			continue
		}
		var n int
		n, at, err = f.all(ctx, runs, at, changed)
		if applied += n; err != nil || n == 0 {
			return applied, at, err
		}
	}
}

// all applies those of some runs that come next, one after the other. A copy that somebody
// changed takes only one that starts over.
func (f *Follower) all(ctx context.Context, runs schemas.ChainRuns, at Position, changed *ChangedError) (applied int, _ Position, _ error) {
	for {
		next, err := f.next(runs, at)
		switch {
		case changed != nil && (next == nil || !next.Whole()):
			return applied, at, changed
		case err != nil || next == nil:
			return applied, at, err
		}
		done, err := f.apply(ctx, *next)
		if err != nil {
			return applied, at, err
		}
		applied, at, changed = applied+1, done.Position, nil
		if f.Applied != nil {
			f.Applied(done)
		}
		if err := f.Feed.Acknowledge(ctx, at); err != nil {
			return applied, at, fmt.Errorf("run %d is applied, but the report to the service failed: %w", at.Number, err)
		}
	}
}

// next chooses the run to apply: the last one that starts over, since what came before it
// is in it, or else the one after the position. It is nil if none exists.
func (f *Follower) next(runs schemas.ChainRuns, at Position) (next *schemas.ChainRun, err error) {
	if at.JobID != "" && at.JobID != runs.JobID {
		return nil, fmt.Errorf("the copy is one of job %s, not %s: give each job a copy of its own", at.JobID, runs.JobID)
	}
	for _, run := range runs.Runs {
		if run.Number > at.Number && (next == nil || run.Whole() && !run.Gone) {
			next = &run
		}
	}
	if next != nil && (next.Gone || !next.Whole() && next.Number > at.Number+1) {
		return nil, &BehindError{runs.JobID, at.Number + 1}
	}
	return next, nil
}

func (f *Follower) apply(ctx context.Context, run schemas.ChainRun) (Applied, error) {
	dir := filepath.Join(f.Work, "runs", schemas.ExportDir(run.ExportID))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Applied{}, err
	}
	from, err := f.Feed.Fetch(ctx, run, dir)
	if err != nil {
		return Applied{}, fmt.Errorf("fetch run %d (%s): %w", run.Number, run.ExportID, err)
	}
	export, err := f.Open(ctx, from, filepath.Join(f.Work, "scratch"))
	if err != nil {
		if unproven := new(receiver.UnprovenError); errors.As(err, &unproven) {
			// What was damaged on its way is fetched anew.
			return Applied{}, errors.Join(fmt.Errorf("run %d (%s): %w", run.Number, run.ExportID, err), os.RemoveAll(dir))
		}
		return Applied{}, fmt.Errorf("run %d (%s): %w", run.Number, run.ExportID, err)
	}
	done, err := f.Copy.Apply(ctx, export, f.Now())
	if err = errors.Join(err, export.Close()); err != nil {
		return done, err
	}
	return done, os.RemoveAll(dir)
}
