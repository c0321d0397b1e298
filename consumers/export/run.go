package export

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/pipeline"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// run is an attempt at an export that is in hand.
type run struct {
	*Worker
	open     *open
	accepted pipeline.Acceptance
	topic    schemas.Topic
	// snapshot is the accepted one, in the positions that are known by now.
	snapshot schemas.Snapshot
	// began is when the attempt began, once it may.
	began schemas.Time
	// completed says that it is, and perhaps not reported so.
	completed bool

	mu    sync.Mutex
	state schemas.State
	// failing is since when steps fail, which last did at lastFailed; told is what was said
	// of that, at toldAt.
	failing            map[string]time.Time
	lastFailed, toldAt time.Time
	told               string
}

// carry carries out an open export, and returns where it is then: gone, because it ended or
// ctx did, or waiting for ingest. What cannot be decided now is tried again.
func (w *Worker) carry(ctx context.Context, e *open) place {
	r := &run{Worker: w, open: e, state: schemas.Requested, failing: map[string]time.Time{}}
	for n := 1; ; n++ {
		to, err := r.attempt(ctx)
		if err == nil || ctx.Err() != nil {
			return to
		}
		if e.failed != nil { // which could not be recorded: the wait begins anew
			e.failed = nil
			return waiting
		}
		pause := w.backoff(n)
		w.log(ctx).WarnContext(ctx, "the export cannot go on; retrying", "in", pause.Round(time.Millisecond), "error", err)
		r.waits(ctx, "export", 0, err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return gone
		}
	}
}

// attempt carries an export out as far as that goes. With an error its end is not decided,
// or not reported.
func (r *run) attempt(ctx context.Context) (to place, err error) {
	e := r.open
	a, found, err := r.Exporter.Accepted(ctx, e.TenantID, e.ExportID)
	if pipeline.IsPermanent(err) {
		return gone, r.fail(ctx, failure{"accept", 0, err})
	}
	if err != nil {
		return gone, err
	}
	if !found || a.Request == nil {
		r.log(ctx).ErrorContext(ctx, "an open export was never accepted; it is closed")
		return gone, r.Exporter.Close(ctx, e.Open)
	}
	r.accepted = a
	r.topic, _ = schemas.SourceOf(a.Request.Entity)
	state, over, err := r.isOver(ctx)
	if err != nil || over {
		return gone, err
	}
	if r.snapshot, err = r.Log.Now(ctx, r.topic, a.Snapshot, a.Epochs); err != nil {
		return gone, err
	}
	if r.completed = state == schemas.Completed; r.completed || e.failed != nil {
		return gone, r.end(ctx, r.export(ctx))
	}
	if !e.passed || !same(e.snapshot, r.snapshot) {
		e.topic, e.snapshot, e.passed = r.topic, r.snapshot, false
		return waiting, nil
	}
	return gone, r.end(ctx, r.export(ctx))
}

// close ends the attempt, whose end was recorded and reported.
func (r *run) close(ctx context.Context) error { return r.Exporter.Close(ctx, r.open.Open) }

// attemptEvent is the id of an event that each attempt has of its own.
func attemptEvent(name string, attempt int) string {
	if attempt == 1 {
		return name
	}
	return fmt.Sprintf("%s/%04d", name, attempt)
}

// export is the export from its plan to its manifest, straight through. Whatever was done
// before, here or on another worker, is found in the store and adopted.
func (r *run) export(ctx context.Context) (err error) {
	e, request := r.open, r.accepted.Request
	ctx, span := spans.StartAt(ctx, "export", e.waits, spans.Export.String(e.ExportID), spans.Attempt.Int(e.Attempt), spans.Entity.String(request.Entity))
	defer func() { spans.End(span, err) }()
	_, barrier := spans.StartAt(ctx, "barrier", e.waits)
	spans.EndAt(barrier, e.passedAt, e.failed)
	if e.failed != nil {
		r.metrics.failures.WithLabelValues("barrier").Inc()
		return e.failed
	}
	if r.completed {
		return r.reportCompleted(ctx)
	}
	lifetime, err := r.lifetime(request)
	if err != nil {
		return failure{"accept", 0, pipeline.Permanent(err)}
	}
	x := pipeline.ExportOf(request)
	x.PolicyKeyID = r.accepted.PolicyKeyID
	if err := r.Exporter.CheckPolicy(x); err != nil {
		return failure{"accept", 0, err}
	}
	recipients, err := r.recipients(ctx)
	if err != nil {
		return err
	}
	if err := r.withinQuota(ctx); err != nil {
		return err
	}
	var link pipeline.Link
	err = r.stage(ctx, "chain", 0, func(ctx context.Context) (err error) {
		link, err = r.follow(ctx)
		return err
	})
	if err != nil {
		return err
	}
	x.Snapshot, x.Link, x.HistoryFrom, x.Recipients, x.Lifetime = r.snapshot, link, r.accepted.From(), recipients, lifetime
	return r.parted(ctx, x)
}

// parted plans, exports every part and finishes.
func (r *run) parted(ctx context.Context, x pipeline.Export) error {
	started := r.Now()
	var plan schemas.Plan
	x.Whole = r.whole
	x.Known = func(ctx context.Context) (bool, error) { return r.Tenants.HasTenant(ctx, x.Filter.TenantID) }
	unknown := false
	err := r.stage(ctx, "plan", 0, func(ctx context.Context) (err error) {
		plan, err = r.Exporter.Plan(ctx, x)
		if unknown = errors.Is(err, pipeline.ErrUnknownTenant); unknown {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if unknown {
		return r.refuseLate(ctx, unknownTenant(r.accepted.Request))
	}
	x.Snapshot, x.Scattered = plan.Snapshot, plan.Scattered
	r.snapshot = plan.Snapshot
	if !plan.HistoryFrom.IsZero() {
		x.HistoryFrom = plan.HistoryFrom
	}
	if err := r.reportPlanned(ctx, plan, x.Link); err != nil {
		return err
	}
	receipts, err := r.parts(ctx, x, plan)
	if err != nil {
		return err
	}
	if err := r.checkWhole(ctx); err != nil {
		return err
	}
	completed := r.status("completed", schemas.Completed)
	completed.JobID = r.accepted.Request.JobID
	err = r.stage(ctx, "manifest", 0, func(ctx context.Context) error {
		c, err := r.Exporter.Finish(ctx, x, r.topic, receipts.All())
		if err != nil {
			return err
		}
		completed.Completion = &c
		return r.complete(ctx, x)
	})
	if err != nil {
		return err
	}
	spans.Observe(ctx, r.metrics.exportSeconds, r.Now().Sub(started).Seconds())
	return r.reportState(ctx, completed)
}

// follow decides what the export continues.
func (r *run) follow(ctx context.Context) (pipeline.Link, error) {
	a := r.accepted
	a.Snapshot = r.snapshot
	return r.Exporter.Follow(ctx, a, r.forgotten)
}

// forgotten reports whether an earlier snapshot holds positions that ours does not know were
// used. A topic that is made again begins where ClickHouse and the committed offsets say that
// the one before ended. Once both are lost, only the snapshot says that it had records.
func (r *run) forgotten(ctx context.Context, earlier schemas.Snapshot) (bool, error) {
	held, err := r.Log.Used(ctx, r.topic, earlier)
	if err != nil {
		return false, err
	}
	known, err := r.Log.Used(ctx, r.topic, r.snapshot)
	return schemas.Positions(held) > schemas.Positions(schemas.Overlap(held, known)), err
}

func (r *run) reportPlanned(ctx context.Context, plan schemas.Plan, link pipeline.Link) error {
	s := r.status(attemptEvent("planned", r.open.Attempt), schemas.Planned)
	totals := plan.Totals()
	s.Planned, s.BeganAt, s.Continues, s.StartsOver = &totals, r.began, link.Continues(), link.StartsOver
	if plan.HistoryFrom.Compare(r.accepted.Request.From) > 0 {
		s.HistoryFrom = plan.HistoryFrom
	}
	if !same(plan.Snapshot, r.accepted.Snapshot) {
		s.Snapshot = plan.Snapshot
	}
	return r.reportState(ctx, s)
}

func (r *run) status(event string, state schemas.State) *schemas.ExportStatus {
	return &schemas.ExportStatus{TenantID: r.open.TenantID, ExportID: r.open.ExportID, EventID: event, State: state, Attempt: r.open.Attempt}
}

// complete records that the export is completed, unless it is gone.
func (r *run) complete(ctx context.Context, x pipeline.Export) error {
	state, err := r.Exporter.End(ctx, x.Filter.TenantID, x.ID, schemas.Completed)
	if err != nil {
		return err
	}
	cancelled, err := r.Exporter.Cancelled(ctx, x.Filter.TenantID, x.ID)
	if err == nil && (cancelled || state != schemas.Completed) {
		return pipeline.Permanent(pipeline.ErrGone)
	}
	return err
}

// parts exports the parts of a plan, as many at once as slots allow, and reports
// each as it is stored.
func (r *run) parts(ctx context.Context, x pipeline.Export, plan schemas.Plan) (*pipeline.Receipts, error) {
	receipts := pipeline.NewReceipts(x, plan)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.Slots)
	for _, i := range longestFirst(plan.Parts) {
		part := plan.Parts[i]
		group.Go(func() (err error) {
			release, err := r.slots.acquire(ctx, r.open.key())
			if err != nil {
				return err
			}
			defer release()
			ctx, span := spans.Start(ctx, "part", spans.Export.String(x.ID), spans.Part.Int(part.Number),
				spans.Rows.Int64(part.Rows), spans.Bytes.Int64(part.Bytes))
			defer func() { spans.End(span, err) }()
			started := r.Now()
			var receipt schemas.Receipt
			err = r.try(ctx, "part", part.Number, func(ctx context.Context) (err error) {
				if receipt, err = r.Exporter.Export(ctx, x, part); err != nil {
					return err
				}
				return receipts.Add(receipt)
			})
			if err != nil {
				return err
			}
			span.SetAttributes(spans.ZipBytes.Int64(receipt.ZipBytes), spans.SealedBytes.Int64(receipt.SealedBytes))
			r.metrics.stored(ctx, x.Filter.TenantID, receipt, r.Now().Sub(started))
			s := r.status(schemas.PartEventID(part.Number), schemas.Running)
			s.Part = &receipt
			return r.reportState(ctx, s)
		})
		if ctx.Err() != nil {
			break
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return receipts, nil
}

// stage is try with a span around it.
func (r *run) stage(ctx context.Context, name string, part int, step func(context.Context) error) (err error) {
	ctx, span := spans.Start(ctx, name)
	defer func() { spans.End(span, err) }()
	return r.try(ctx, name, part, step)
}

// try retries one step and says where it failed when it is given up.
func (r *run) try(ctx context.Context, name string, part int, step func(context.Context) error) error {
	if err := r.retry(ctx, name, part, func() error { return step(ctx) }); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if refused := (refusal{}); errors.As(err, &refused) {
			return refused
		}
		r.metrics.failures.WithLabelValues(name).Inc()
		return failure{name, part, err}
	}
	return nil
}

// refuseLate refuses an accepted export for good: requested again under this id it would be one as
// of the snapshot taken now.
func (r *run) refuseLate(ctx context.Context, reason string) error {
	e := r.open
	return r.stage(ctx, "plan", 0, func(ctx context.Context) error {
		if _, err := r.Exporter.EndBecause(ctx, e.TenantID, e.ExportID, schemas.Refused, reason); err != nil {
			return err
		}
		state, reason, err := r.Exporter.EndedBecause(ctx, e.TenantID, e.ExportID) // as it was recorded first
		switch {
		case err != nil:
			return err
		case state != schemas.Refused: // it was cancelled or deleted meanwhile
			return pipeline.Permanent(pipeline.ErrGone)
		}
		return pipeline.Permanent(refusal{reason: reason})
	})
}

// withinQuota refuses an export that would begin although the tenant's exports that began that day
// have the bytes they may have; a retry of one fails. What began is carried out, and counts for the
// day it began, whoever goes on with it and whenever: where bytes are bounded that is decided once.
func (r *run) withinQuota(ctx context.Context) error {
	e := r.open
	if r.began = schemas.TimeOf(r.Now()); !r.Quotas.BoundsBytes(e.TenantID) {
		return nil
	}
	var reason string
	err := r.stage(ctx, "plan", 0, func(ctx context.Context) (err error) {
		reason, r.began, err = r.Exporter.WithinQuota(ctx, e.TenantID, e.ExportID, e.Attempt, func(at time.Time) (string, error) {
			if e.Attempt == 1 { // an earlier version, or another quota, may have let it begin
				if _, began, err := r.Exporter.Planned(ctx, e.TenantID, e.ExportID); err != nil || began {
					return "", err
				}
			}
			err := r.Quotas.AdmitBytes(ctx, e.TenantID, at)
			if over := (*pipeline.QuotaError)(nil); errors.As(err, &over) {
				return over.Reason, nil
			}
			return "", err
		})
		return err
	})
	switch {
	case err != nil || reason == "":
		return err
	case e.Attempt == 1:
		return r.refuseLate(ctx, reason)
	}
	return failure{"plan", 0, &pipeline.QuotaError{Reason: reason}}
}
