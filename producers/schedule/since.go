package schedule

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"cdds/schemas"
)

// A job that exports what came since its last run must never leave a gap, and must not
// give older versions after newer ones. So the next run continues the completed run whose
// snapshot reaches furthest, and one run is at work at a time. Where that does not hold
// (the job was changed, or runs overlapped although they should not), the next run starts
// over with everything, and its request says why.

// Completed is what the completed runs of a job, of one entity, mean for the next one.
type Completed struct {
	// Last is the one whose snapshot reaches furthest.
	Last schemas.Export
	// Stale is the id of one that ended after another that reaches further, so that a
	// receiver has older versions now; empty if there is none, or a whole run came after it.
	Stale string
}

// follow makes r continue the last run, or start over.
func (c *Completed) follow(r *schemas.ExportRequest) {
	last := c.Last
	switch {
	case last.Request == nil:
		r.StartsOver = fmt.Sprintf("history does not say what run %s was of", last.ExportID)
	case !sameRows(last.Request, r):
		r.StartsOver = fmt.Sprintf("the filter is not that of run %s any more", last.ExportID)
	case c.Stale != "":
		r.StartsOver = fmt.Sprintf("run %s ended after one that reaches further", c.Stale)
	default:
		r.SinceExport, r.Since = last.ExportID, last.Snapshot
	}
}

// sameRows reports whether two runs select by the same filter, attachments included.
func sameRows(a, b *schemas.ExportRequest) bool {
	of := func(r *schemas.ExportRequest) []byte {
		filter, err := schemas.Encode(r.Filter())
		if err != nil {
			return nil
		}
		return append(filter, cmp.Or(r.Attachments, schemas.AttachmentsIncluded)...)
	}
	return bytes.Equal(of(a), of(b))
}

// completed is what the next run of a job depends on, nil if it depends on none.
func completed(ctx context.Context, h History, j schemas.Job) (*Completed, error) {
	if j.Timeframe.Kind != schemas.TimeframeSinceLastRun {
		return nil, nil
	}
	last, stale, found, err := h.LastCompletedRun(ctx, j.TenantID, j.JobID, j.Entity)
	if err != nil || !found {
		return nil, err
	}
	return &Completed{last, stale}, nil
}

// OverlapError says why a run cannot be at work now: it would hold what another one does.
type OverlapError struct{ Reason string }

func (e *OverlapError) Error() string { return e.Reason }

// overlap is an *OverlapError if another run of the job than that of an id is at work.
func overlap(runs []schemas.Export, id string) error {
	for _, e := range runs {
		if !e.State.Ended() && e.ExportID != id {
			return &OverlapError{fmt.Sprintf("run %s of the job is at work; wait until it has ended, or cancel it", e.ExportID)}
		}
	}
	return nil
}

// CheckRetry is an *OverlapError if a failed run must not be taken up again, because
// another one is at work or holds already what this one would.
func CheckRetry(ctx context.Context, h History, j schemas.Job, failed schemas.Export) error {
	if j.Timeframe.Kind != schemas.TimeframeSinceLastRun || failed.Request == nil {
		return nil
	}
	runs, err := h.JobRuns(ctx, j.TenantID, j.JobID, recentRuns)
	if err != nil {
		return err
	}
	if err := overlap(runs, failed.ExportID); err != nil {
		return err
	}
	last, _, found, err := h.LastCompletedRun(ctx, j.TenantID, j.JobID, failed.Request.Entity)
	if err != nil || !found {
		return err
	}
	reaches := failed.Snapshot
	if reaches == nil { // its snapshot would be taken now
		reaches = failed.Request.Since
	}
	if last.Snapshot.Records() > reaches.Records() {
		return &OverlapError{fmt.Sprintf("run %s was completed since and holds what this one would; run the job now instead", last.ExportID)}
	}
	return nil
}

// nowID is the id of a run now after the runs there were: clicked twice, it is one export.
func nowID(j schemas.Job, last *Completed, runs []schemas.Export) string {
	sum := sha256.New()
	if last != nil {
		_, _ = fmt.Fprintln(sum, last.Last.ExportID) // a hash never fails
	}
	for _, e := range runs {
		_, _ = fmt.Fprintln(sum, e.ExportID)
	}
	return j.JobID + "-now-" + hex.EncodeToString(sum.Sum(nil)[:8])
}
