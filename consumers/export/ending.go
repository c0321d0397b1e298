package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/pipeline"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// refusal is why a message is not granted.
type refusal struct {
	reason string
	// unrecorded says that it needs no record to stay so.
	unrecorded bool
}

func (r refusal) Error() string { return r.reason }

// failure is why an attempt was given up, and where.
type failure struct {
	stage string
	part  int
	err   error
}

func (f failure) Error() string { return f.stage + ": " + f.err.Error() }

func (f failure) Unwrap() error { return f.err }

// isOver finds out whether nothing is left to do but to report it, and does.
func (r *run) isOver(ctx context.Context) (state schemas.State, over bool, err error) {
	e := r.open
	var cancelled bool
	var reason string
	var failed *schemas.Failure
	var asking errgroup.Group
	asking.Go(func() (err error) { cancelled, err = r.Exporter.Cancelled(ctx, e.TenantID, e.ExportID); return err })
	asking.Go(func() (err error) {
		state, reason, err = r.Exporter.EndedBecause(ctx, e.TenantID, e.ExportID)
		return err
	})
	asking.Go(func() (err error) {
		failed, err = r.Exporter.Failed(ctx, e.TenantID, e.ExportID, e.Attempt)
		return err
	})
	switch err := asking.Wait(); {
	case err != nil:
		return "", false, err
	case state == schemas.Refused:
		return state, true, r.end(ctx, refusal{reason: cmp.Or(reason, unknownTenant(r.accepted.Request))})
	case cancelled, state != "" && state != schemas.Completed:
		return state, true, r.leave(ctx, e.Open, r.accepted.Request.JobID)
	case state == "" && failed != nil:
		return state, true, r.reportFailed(ctx, failed)
	}
	return state, false, nil
}

// end records and reports what came of the export. Its error is ctx's, or one that says that
// this could not be done.
func (r *run) end(ctx context.Context, err error) error {
	if ctx.Err() != nil { // shut down, revoked or cancelled: not the export's failure
		return ctx.Err()
	}
	e, request := r.open, r.accepted.Request
	var refused refusal
	var failed failure
	var superseded *pipeline.SupersededError
	switch {
	case err == nil:
		r.metrics.end(e.TenantID, schemas.Completed)
		return r.close(ctx)
	case errors.As(err, &superseded):
		return r.superseded(ctx, superseded)
	case errors.Is(err, pipeline.ErrGone):
		return r.leave(ctx, e.Open, request.JobID)
	case errors.As(err, &failed): // which a refusal may be the reason of
		return r.fail(ctx, failed)
	case errors.As(err, &refused) && e.Attempt == 1:
		if err := r.refuse(ctx, request, refused.reason); err != nil {
			return err
		}
		return r.close(ctx)
	case errors.As(err, &refused): // granted before, so it has a history
		return r.reportFailed(ctx, describe(failure{"accept", 0, pipeline.Permanent(refused)}))
	}
	return err
}

// fail gives the attempt up, if that can be recorded.
func (r *run) fail(ctx context.Context, failed failure) error {
	ctx, cancel := context.WithTimeout(ctx, failTimeout)
	defer cancel()
	told, state, err := r.Exporter.Fail(ctx, r.open.TenantID, r.open.ExportID, r.open.Attempt, *describe(failed))
	switch {
	case err != nil:
		return errors.Join(failed, fmt.Errorf("record the failure: %w", err))
	case state != "": // the answer to that had got lost, or another worker was faster
		return fmt.Errorf("it is %s already: %w", state, failed)
	}
	spans.Fail(ctx, failed)
	return r.reportFailed(ctx, told)
}

// failTimeout bounds giving up: the store may be what failed.
const failTimeout = 30 * time.Second

func (r *run) reportFailed(ctx context.Context, told *schemas.Failure) error {
	e := r.open
	s := &schemas.ExportStatus{
		TenantID: e.TenantID, ExportID: e.ExportID, EventID: attemptEvent("failed", e.Attempt), State: schemas.Failed,
		Attempt: e.Attempt, Failure: told, JobID: jobOf(r.accepted),
	}
	r.metrics.end(e.TenantID, schemas.Failed)
	if err := r.reportState(ctx, s); err != nil {
		return err
	}
	return r.close(ctx)
}

// reportCompleted reports a completed export as its manifest says: whoever completed it may
// not have.
func (r *run) reportCompleted(ctx context.Context) error {
	e := r.open
	standing, err := r.Exporter.Standing(ctx, e.TenantID, e.ExportID)
	if err != nil {
		return err
	}
	if standing.Manifest == nil {
		return pipeline.ErrGone
	}
	link, err := r.follow(ctx)
	if err != nil {
		return err
	}
	x := pipeline.Export{ID: e.ExportID, Filter: r.accepted.Request.Filter(), Snapshot: r.snapshot, Link: link}
	plan, err := r.Exporter.Plan(ctx, x)
	if err != nil {
		return err
	}
	x.Snapshot = plan.Snapshot
	if err := r.reportPlanned(ctx, plan, link); err != nil {
		return err
	}
	receipts := pipeline.NewReceipts(x, plan)
	if err := r.Exporter.Receipts(ctx, e.TenantID, e.ExportID, receipts.Add); err != nil {
		return err
	}
	if err := r.reportParts(ctx, receipts.All()); err != nil {
		return err
	}
	completed := r.status("completed", schemas.Completed)
	completed.JobID = r.accepted.Request.JobID
	c, err := r.Exporter.Finish(ctx, x, r.topic, receipts.All())
	if err != nil {
		return err
	}
	completed.Completion = &c
	return r.reportState(ctx, completed)
}

// unknownTenant is a reason to refuse a request after it was accepted: whether a tenant exists is
// known only once ingest is past the snapshot. Earlier versions recorded no reason, and had no
// other one.
func unknownTenant(r *schemas.ExportRequest) string {
	return fmt.Sprintf("tenant %q is unknown: nothing was ever stored for it; once there is, ask again under another id", r.TenantID)
}
