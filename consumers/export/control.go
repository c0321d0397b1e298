package export

import (
	"context"
	"fmt"

	"cdds/pipeline"
	"cdds/schemas"
)

// cancel ends an export for good: here at once, and for whichever worker believes it
// has it by marks in the store. What is completed stays.
func (w *Worker) cancel(ctx context.Context, r *schemas.ExportRequest) error {
	a, found, err := w.accepted(ctx, r)
	if err != nil || !found {
		return err
	}
	state, err := w.settle(ctx, r, schemas.Cancelled)
	if err != nil {
		return err
	}
	if state != schemas.Cancelled {
		w.log(ctx).InfoContext(ctx, "cancel came too late", "state", state)
		return nil
	}
	if this := w.inHand(r.TenantID, r.ExportID); this != nil {
		this.stop(errCancelled)
		return this.ended(ctx) // it leaves and reports
	}
	jobID := ""
	if a.Request != nil { // earlier versions kept none
		jobID = a.Request.JobID
	}
	return w.leave(ctx, r.TenantID, r.ExportID, jobID)
}

// delete removes the artifacts of an export that has ended and says who asked.
func (w *Worker) delete(ctx context.Context, r *schemas.ExportRequest) error {
	_, found, err := w.accepted(ctx, r)
	if err != nil || !found {
		return err
	}
	var state schemas.State
	err = w.retry(ctx, "delete", func() (err error) {
		state, err = w.Exporter.Ended(ctx, r.TenantID, r.ExportID)
		return err
	})
	if err != nil {
		return err
	}
	this := w.inHand(r.TenantID, r.ExportID)
	if state == "" && this != nil {
		return w.refuse(ctx, r, "the export has not ended; cancel it before deleting it")
	}
	if _, err = w.settle(ctx, r, schemas.Deleted); err != nil {
		return err
	}
	if this != nil { // it is taken up again after a restart
		this.stop(errCancelled)
		if err := this.ended(ctx); err != nil {
			return err
		}
	}
	if err := w.discard(ctx, r.TenantID, r.ExportID); err != nil {
		return err
	}
	reason := "deleted on request"
	if r.RequestedBy != "" {
		reason = "deleted by " + r.RequestedBy
	}
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: r.TenantID, ExportID: r.ExportID, EventID: "deleted", State: schemas.Deleted, Reason: reason,
	})
}

// again begins another attempt at a failed export, or goes on with the one this very
// message began. An export that was asked for, has not ended and is in nobody's hand
// has failed: messages about it come to this worker in order. One that is recorded as
// completed or refused may be told to have failed all the same: the answer to the
// recording was lost and the attempt given up. Going through it once more finds
// everything done and tells the end that stands.
func (w *Worker) again(ctx context.Context, r schemas.Record[*schemas.ExportRequest], decided func()) error {
	tenantID, exportID := r.Event.TenantID, r.Event.ExportID
	a, found, err := w.asked(ctx, r)
	if err != nil || !found {
		return err
	}
	if a.Request == nil {
		return w.refuse(ctx, r.Event, "an earlier version of the service accepted the export; ask for it under another id")
	}
	origin := pipeline.Origin{Partition: r.Partition, Offset: r.Offset}
	var attempt int
	var state schemas.State
	var gone bool
	err = w.retry(ctx, "retry", func() (err error) {
		if attempt, err = w.Exporter.AttemptOf(ctx, tenantID, exportID, origin); err != nil {
			return err
		}
		if state, err = w.Exporter.Ended(ctx, tenantID, exportID); err != nil {
			return err
		}
		gone, err = w.Exporter.Cancelled(ctx, tenantID, exportID)
		return err
	})
	if pipeline.IsPermanent(err) {
		return w.refuse(ctx, r.Event, err.Error())
	}
	if err != nil {
		return err
	}
	this := w.inHand(tenantID, exportID)
	switch {
	case attempt > 0 && this != nil: // the request is read again too, and was not marked as failed
		if err := this.ended(ctx); err != nil {
			return err
		}
	case attempt > 0:
	case state == schemas.Completed && !gone && this == nil: // it may be told to have failed
		if err := w.carryOut(ctx, a.Request, 1, decided); err != nil {
			return err
		}
		return w.refuse(ctx, r.Event, "the export is completed; only a failed one can be retried")
	case state != "" && state != schemas.Refused:
		return w.refuse(ctx, r.Event, fmt.Sprintf("the export is %s; only a failed one can be retried", state))
	case this != nil:
		return w.refuse(ctx, r.Event, "the export is at work; only a failed one can be retried")
	}
	err = w.retry(ctx, "retry", func() (err error) {
		attempt, err = w.Exporter.BeginAttempt(ctx, tenantID, exportID, origin)
		return err
	})
	if err != nil {
		return err
	}
	return w.carryOut(ctx, a.Request, attempt, decided)
}

// accepted finds the export a control is about, and refuses the control if there is
// none.
func (w *Worker) accepted(ctx context.Context, r *schemas.ExportRequest) (a pipeline.Acceptance, found bool, err error) {
	err = w.retry(ctx, r.Action, func() (err error) {
		a, found, err = w.Exporter.Accepted(ctx, r.TenantID, r.ExportID)
		return err
	})
	if err != nil || found {
		return a, found, err
	}
	return a, false, w.noExport(ctx, r)
}

// asked is accepted, or else the request itself: when the store was away for too long
// nothing says that it was asked for but its message.
func (w *Worker) asked(ctx context.Context, r schemas.Record[*schemas.ExportRequest]) (a pipeline.Acceptance, found bool, err error) {
	err = w.retry(ctx, r.Event.Action, func() (err error) {
		a, found, err = w.Exporter.Accepted(ctx, r.Event.TenantID, r.Event.ExportID)
		if err == nil && !found {
			a.Request, err = w.Requests.Earlier(ctx, r.Partition, r.Offset, r.Event.TenantID, r.Event.ExportID)
		}
		return err
	})
	if err != nil || found || a.Request != nil && a.Request.Validate() == nil {
		return a, err == nil, err
	}
	return a, false, w.noExport(ctx, r.Event)
}

// noExport refuses a control that is about nothing.
func (w *Worker) noExport(ctx context.Context, r *schemas.ExportRequest) error {
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: r.TenantID, ExportID: r.ExportID, EventID: refusalOf(r), State: schemas.Refused,
		RequestDigest: r.Digest(), Reason: "there is no export of this id to " + r.Action,
	})
}

// settle records how the export ended, if that did not stand yet, and returns what
// stands. Where nothing of it may stay it is marked so, for whoever still works on it.
func (w *Worker) settle(ctx context.Context, r *schemas.ExportRequest, as schemas.State) (state schemas.State, err error) {
	err = w.retry(ctx, r.Action, func() (err error) {
		state, err = w.Exporter.End(ctx, r.TenantID, r.ExportID, as)
		if err != nil || state == schemas.Completed && as != schemas.Deleted {
			return err
		}
		return w.Exporter.MarkCancelled(ctx, r.TenantID, r.ExportID)
	})
	return state, err
}

// leave removes what is stored of an export that is gone. Cancelled, it is reported
// so, with the job it was a run of, which may be told; deleted or expired, whoever did it
// reports.
func (w *Worker) leave(ctx context.Context, tenantID, exportID, jobID string) error {
	if err := w.discard(ctx, tenantID, exportID); err != nil {
		return err
	}
	var state schemas.State
	err := w.retry(ctx, "discard", func() (err error) {
		state, err = w.Exporter.Ended(ctx, tenantID, exportID)
		return err
	})
	if err != nil || state != schemas.Cancelled {
		return err
	}
	w.metrics.end(tenantID, schemas.Cancelled)
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: tenantID, ExportID: exportID, EventID: "cancelled", State: schemas.Cancelled, JobID: jobID,
		Reason: errCancelled.Error(),
	})
}

func (w *Worker) discard(ctx context.Context, tenantID, exportID string) error {
	err := w.retry(ctx, "discard", func() error { return w.Exporter.Discard(ctx, tenantID, exportID) })
	if err != nil {
		return fmt.Errorf("discard export %s: %w", exportID, err)
	}
	return nil
}
