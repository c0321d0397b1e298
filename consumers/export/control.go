package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"cdds/pipeline"
	"cdds/schemas"
)

// control decides a control about the export that was accepted as a, if one was, and does
// what it asks for.
func (w *Worker) control(ctx context.Context, b *batch, r schemas.Record[*schemas.ExportRequest], a pipeline.Acceptance, found bool) error {
	reason, refused, err := w.Exporter.Refused(ctx, r.Event.TenantID, r.Event.ExportID, originOf(r))
	if err != nil {
		return err
	}
	before := found && a.Origin != nil && a.Origin.Partition == r.Partition && r.Offset < a.Origin.Offset
	shard := shardOf(a, r.Partition)
	here, home, err := w.isHere(ctx, shard, r.Partition)
	switch {
	case err != nil:
		return err
	case refused:
		return refusal{reason: reason}
	case !found, before: // it is about an export of that id that was never accepted
		err = refusal{reason: "there is no export of this id to " + r.Event.Action}
	case !here:
		return w.forward(ctx, r.Event, home)
	case r.Event.Action == schemas.ActionCancel:
		err = w.cancel(ctx, r, a)
	case r.Event.Action == schemas.ActionDelete:
		err = w.delete(ctx, r, shard)
	default:
		err = w.again(ctx, b, r, a)
	}
	if err != nil && !isFinal(err) {
		return err
	}
	if err := w.auditControl(ctx, r.Event); err != nil {
		return err
	}
	return err
}

// isFinal reports whether err is a result, or must be tried again.
func isFinal(err error) bool {
	return errors.As(err, new(refusal)) || pipeline.IsPermanent(err)
}

// attempts is the last attempt at an export, and the one that a message began.
func (w *Worker) attempts(ctx context.Context, r schemas.Record[*schemas.ExportRequest], shard int32) (last pipeline.Open, begun int, err error) {
	last = pipeline.Open{Shard: shard, TenantID: r.Event.TenantID, ExportID: r.Event.ExportID}
	last.Attempt, begun, err = w.Exporter.Attempts(ctx, r.Event.TenantID, r.Event.ExportID, originOf(r))
	return last, begun, err
}

// cancel ends an export for good: here at once, and for whoever believes to have it by marks
// in the store. What is completed stays.
func (w *Worker) cancel(ctx context.Context, r schemas.Record[*schemas.ExportRequest], a pipeline.Acceptance) error {
	last, _, err := w.attempts(ctx, r, shardOf(a, r.Partition))
	if err != nil {
		return err
	}
	state, err := w.Exporter.End(ctx, r.Event.TenantID, r.Event.ExportID, schemas.Cancelled)
	if err != nil {
		return err
	}
	if state != schemas.Cancelled {
		w.log(ctx).InfoContext(ctx, "cancel came too late", "state", state)
		return nil
	}
	if err := w.Exporter.MarkCancelled(ctx, r.Event.TenantID, r.Event.ExportID); err != nil {
		return err
	}
	if err := w.drop(ctx, exportKey{r.Event.TenantID, r.Event.ExportID}); err != nil {
		return err
	}
	return w.leave(ctx, last, jobOf(a))
}

// jobOf is the job that an export is a run of.
func jobOf(a pipeline.Acceptance) string {
	if a.Request == nil { // earlier versions kept none
		return ""
	}
	return a.Request.JobID
}

// delete removes the artifacts of an export that has ended and says who asked.
func (w *Worker) delete(ctx context.Context, r schemas.Record[*schemas.ExportRequest], shard int32) error {
	tenantID, exportID := r.Event.TenantID, r.Event.ExportID
	if err := w.notHeld(ctx, tenantID, exportID); err != nil {
		return err
	}
	last, _, err := w.attempts(ctx, r, shard)
	if err != nil {
		return err
	}
	atWork, state, err := w.atWork(ctx, last)
	if err != nil {
		return err
	}
	if atWork {
		return refusal{reason: "the export has not ended; cancel it before deleting it"}
	}
	if state == "" {
		if _, err = w.Exporter.End(ctx, tenantID, exportID, schemas.Deleted); err != nil {
			return err
		}
	}
	if err := w.Exporter.MarkCancelled(ctx, tenantID, exportID); err != nil {
		return err
	}
	if err := w.drop(ctx, exportKey{tenantID, exportID}); err != nil { // it reports its end
		return err
	}
	reason := "deleted on request"
	if r.Event.RequestedBy != "" {
		reason = "deleted by " + r.Event.RequestedBy
	}
	if reason, err = pipeline.Discarded(reason, w.Exporter.Discard(ctx, tenantID, exportID)); err != nil {
		return fmt.Errorf("discard export %s: %w", exportID, err)
	}
	if err := w.Exporter.Close(ctx, last); err != nil {
		return err
	}
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: tenantID, ExportID: exportID, EventID: "deleted", State: schemas.Deleted, Reason: reason,
	})
}

// notHeld is a refusal if a hold keeps the files of an export.
func (w *Worker) notHeld(ctx context.Context, tenantID, exportID string) error {
	if w.Holds == nil {
		return nil
	}
	holds, err := w.Holds.Held(ctx, tenantID)
	if err != nil {
		return err
	}
	if h, held := holds.OfExport(exportID); held {
		return refusal{reason: fmt.Sprintf("the hold %s (%s) keeps its files; it can be deleted once that is released", h.HoldID, h.Name)}
	}
	return nil
}

// atWork reports whether an attempt is open and nothing has ended it, and how the export
// ended, if it did.
func (w *Worker) atWork(ctx context.Context, o pipeline.Open) (bool, schemas.State, error) {
	state, err := w.Exporter.Ended(ctx, o.TenantID, o.ExportID)
	if err != nil || state != "" {
		return false, state, err
	}
	failed, err := w.Exporter.Failed(ctx, o.TenantID, o.ExportID, o.Attempt)
	if err != nil || failed != nil {
		return false, "", err
	}
	// What an earlier version gave up while the store was away is not marked as failed.
	atWork, err := w.Exporter.IsOpen(ctx, o)
	return atWork, "", err
}

// again begins another attempt at a failed export, or finds that it did so before. Several
// retries of one attempt begin one.
func (w *Worker) again(ctx context.Context, b *batch, r schemas.Record[*schemas.ExportRequest], a pipeline.Acceptance) error {
	defer w.admitOne(b, r.Event.TenantID)()
	tenantID, exportID := r.Event.TenantID, r.Event.ExportID
	if a.Request == nil {
		return refusal{reason: "an earlier version of the service accepted the export; ask for it under another id"}
	}
	next, begun, err := w.attempts(ctx, r, shardOf(a, r.Partition))
	if err != nil {
		return err
	}
	if failed := r.Event.Attempt; begun == 0 && failed > 0 && failed < next.Attempt {
		w.log(ctx).InfoContext(ctx, "the attempt was retried already; this retry joins that one", "attempt", failed+1)
		return nil
	}
	if begun == 0 {
		atWork, state, err := w.atWork(ctx, next)
		switch {
		case err != nil:
			return err
		case state != "":
			return refusal{reason: fmt.Sprintf("the export is %s; only a failed one can be retried", state)}
		case atWork:
			return refusal{reason: "the export is at work; only a failed one can be retried"}
		}
		if err := b.admit(ctx, tenantID, exportID); err != nil {
			return err
		}
		if begun, err = w.Exporter.BeginAttempt(ctx, tenantID, exportID, next.Attempt, originOf(r)); err != nil {
			return err
		}
	}
	next.Attempt = begun
	over, err := w.isOver(ctx, next)
	if err != nil {
		return err
	}
	if !over {
		if err := w.Exporter.Open(ctx, next); err != nil {
			return err
		}
		w.open(r.Partition, w.opened(ctx, next, a))
	}
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: tenantID, ExportID: exportID, EventID: attemptEvent("retried", begun), State: schemas.Requested, Attempt: begun,
	})
}

// leave removes what is stored of an export that is gone. Cancelled, it is reported so,
// with the job it was a run of and the recorded reason; deleted or expired, whoever did it
// reports.
func (w *Worker) leave(ctx context.Context, o pipeline.Open, jobID string) error {
	discarded := w.Exporter.Discard(ctx, o.TenantID, o.ExportID)
	state, reason, err := w.Exporter.EndedBecause(ctx, o.TenantID, o.ExportID)
	if err != nil {
		return err
	}
	if reason, err = pipeline.Discarded(cmp.Or(reason, cancelled), discarded); err != nil {
		return fmt.Errorf("discard export %s: %w", o.ExportID, err)
	}
	if state == schemas.Cancelled {
		w.metrics.end(o.TenantID, schemas.Cancelled)
		err = w.report(ctx, &schemas.ExportStatus{
			TenantID: o.TenantID, ExportID: o.ExportID, EventID: "cancelled", State: schemas.Cancelled, JobID: jobID,
			Reason: reason,
		})
		if err != nil {
			return err
		}
	}
	return w.Exporter.Close(ctx, o)
}
