package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/pipeline"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// refusal is why a request is not granted.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

// failure is why an export was given up, and where.
type failure struct {
	stage string
	part  int
	err   error
}

func (f failure) Error() string { return f.stage + ": " + f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// export takes one request from acceptance to its end and reports that end. Its
// error is ctx's, or one that handling the request again may mend.
func (w *Worker) export(ctx context.Context, r *schemas.ExportRequest, attempt int, decided func()) error {
	err := w.steps(ctx, r, attempt, decided)
	if ctx.Err() != nil { // shut down, revoked or cancelled: not the export's failure
		return ctx.Err()
	}
	var refused refusal
	var failed failure
	if errors.As(err, &refused) && attempt > 1 { // granted before, so it has a history
		err = failure{"accept", 0, pipeline.Permanent(refused)}
	}
	switch {
	case errors.Is(err, pipeline.ErrGone):
		return err
	case err == nil:
		w.metrics.end(r.TenantID, schemas.Completed)
		return nil
	case errors.As(err, &failed): // which a refusal may be the reason of
		w.metrics.end(r.TenantID, schemas.Failed)
		spans.Fail(ctx, failed)
		told := describe(failed)
		w.markFailed(ctx, r, attempt, *told)
		return w.reportFailed(ctx, r, attempt, told)
	case errors.As(err, &refused):
		return w.refuse(ctx, r, refused.reason)
	}
	return err
}

func (w *Worker) reportFailed(ctx context.Context, r *schemas.ExportRequest, attempt int, told *schemas.Failure) error {
	s := &schemas.ExportStatus{
		TenantID: r.TenantID, ExportID: r.ExportID, EventID: attemptEvent("failed", attempt), State: schemas.Failed,
		Attempt: attempt, Failure: told, JobID: r.JobID,
	}
	if told.Stage == "accept" { // no other status may ever tell what was asked for
		s.Request, s.RequestDigest = withoutCertificates(r), r.Digest()
	}
	return w.report(ctx, s)
}

// attemptEvent is the id of an event that each attempt has of its own.
func attemptEvent(name string, attempt int) string {
	if attempt == 1 {
		return name
	}
	return fmt.Sprintf("%s/%04d", name, attempt)
}

// markFailed keeps the attempt from being made again when its message is read again.
// The store may be what failed, so not being able to is no reason to wait.
func (w *Worker) markFailed(ctx context.Context, r *schemas.ExportRequest, attempt int, told schemas.Failure) {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	if err := w.Exporter.Fail(ctx, r.TenantID, r.ExportID, attempt, told); err != nil {
		w.log(ctx).WarnContext(ctx, "the failure is not marked in the store; after a restart the attempt may be made again",
			"attempt", attempt, "error", err)
	}
}

const markTimeout = 5 * time.Second

// steps is the export, straight through. Whatever was done before, here or on
// another worker, is found in the store and adopted.
func (w *Worker) steps(ctx context.Context, r *schemas.ExportRequest, attempt int, decided func()) error {
	if err := r.Validate(); err != nil {
		return refusal{err.Error()}
	}
	lifetime, err := w.lifetime(r)
	if err != nil {
		return err
	}
	topic, _ := schemas.SourceOf(r.Entity) // Validate knows the entity
	accepted, err := w.accept(ctx, r, topic)
	if err != nil {
		return err
	}
	recipients, err := w.recipients(ctx, r, accepted)
	if err != nil {
		return err
	}
	before, err := w.before(ctx, r, accepted.Since)
	if err != nil {
		return err
	}
	cipher, keyTransport := r.Enciphering()
	x := pipeline.Export{
		ID: r.ExportID, Filter: r.Filter(), Snapshot: accepted.Snapshot,
		Before: before, SinceExport: r.SinceExport, HistoryFrom: accepted.From(),
		SplitSize: r.Split(), WithoutAttachments: r.Attachments == schemas.AttachmentsNone,
		Encoding: r.Sealing(), Cipher: cipher, KeyTransport: keyTransport, Compression: r.Compressing(), Recipients: recipients, Lifetime: lifetime,
	}
	err = w.report(ctx, &schemas.ExportStatus{
		TenantID: r.TenantID, ExportID: r.ExportID, EventID: "requested", State: schemas.Requested,
		Request: withoutCertificates(r), RequestDigest: accepted.Digest, Snapshot: accepted.Snapshot, Since: accepted.Since,
		Recipients: pipeline.CertificateRefs(recipients),
	})
	if err != nil {
		return err
	}
	if over, err := w.isOver(ctx, r, attempt); err != nil || over {
		return err
	}
	decided()
	if attempt > 1 {
		err := w.report(ctx, &schemas.ExportStatus{
			TenantID: r.TenantID, ExportID: r.ExportID, EventID: attemptEvent("retried", attempt), State: schemas.Requested, Attempt: attempt,
		})
		if err != nil {
			return err
		}
	}
	if err := w.awaitIngest(ctx, r, topic, accepted); err != nil {
		return err
	}
	return w.run(ctx, x, r, topic, attempt)
}

// run plans, exports every part and finishes.
func (w *Worker) run(ctx context.Context, x pipeline.Export, r *schemas.ExportRequest, topic schemas.Topic, attempt int) error {
	started := w.Now()
	var plan schemas.Plan
	x.Whole = func(ctx context.Context) error { return w.whole(ctx, topic, x.Snapshot) }
	err := w.stage(ctx, "plan", 0, func(ctx context.Context) (err error) {
		plan, err = w.Exporter.Plan(ctx, x)
		return err
	})
	if err != nil {
		return err
	}
	x.Scattered = plan.Scattered
	if plan.Rows == 0 { // whoever has rows is known
		if err := w.checkTenant(ctx, r); err != nil {
			return err
		}
	}
	status := func(event string, state schemas.State) *schemas.ExportStatus {
		return &schemas.ExportStatus{TenantID: x.Filter.TenantID, ExportID: x.ID, EventID: event, State: state, Attempt: attempt}
	}
	planned := status("planned", schemas.Planned)
	totals := plan.Totals()
	planned.Planned = &totals
	if err := w.report(ctx, planned); err != nil {
		return err
	}
	receipts, err := w.parts(ctx, x, plan, status)
	if err != nil {
		return err
	}
	if err := w.checkWhole(ctx, topic, x.Snapshot); err != nil {
		return err
	}
	completed := status("completed", schemas.Completed)
	completed.JobID = r.JobID
	err = w.stage(ctx, "manifest", 0, func(ctx context.Context) error {
		c, err := w.Exporter.Finish(ctx, x, topic, receipts)
		if err != nil {
			return err
		}
		completed.Completion = &c
		return w.complete(ctx, x)
	})
	if err != nil {
		return err
	}
	spans.Observe(ctx, w.metrics.exportSeconds, w.Now().Sub(started).Seconds())
	return w.report(ctx, completed)
}

// complete records that the export is completed, unless it is gone.
func (w *Worker) complete(ctx context.Context, x pipeline.Export) error {
	state, err := w.Exporter.End(ctx, x.Filter.TenantID, x.ID, schemas.Completed)
	if err != nil {
		return err
	}
	gone, err := w.Exporter.Cancelled(ctx, x.Filter.TenantID, x.ID)
	if err == nil && (gone || state != schemas.Completed) {
		return pipeline.Permanent(pipeline.ErrGone)
	}
	return err
}

// parts exports the parts of a plan, as many at once as slots allow, and reports
// each as it is stored.
func (w *Worker) parts(ctx context.Context, x pipeline.Export, plan schemas.Plan, status func(string, schemas.State) *schemas.ExportStatus) ([]schemas.Receipt, error) {
	receipts := make([]schemas.Receipt, len(plan.Parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.Slots)
	for _, i := range longestFirst(plan.Parts) {
		part := plan.Parts[i]
		group.Go(func() (err error) {
			release, err := w.slots.acquire(ctx, exportKey{x.Filter.TenantID, x.ID})
			if err != nil {
				return err
			}
			defer release()
			ctx, span := spans.Start(ctx, "part", spans.Export.String(x.ID), spans.Part.Int(part.Number),
				spans.Rows.Int64(part.Rows), spans.Bytes.Int64(part.Bytes))
			defer func() { spans.End(span, err) }()
			started := w.Now()
			err = w.try(ctx, "part", part.Number, func(ctx context.Context) (err error) {
				receipts[i], err = w.Exporter.Export(ctx, x, part)
				return err
			})
			if err != nil {
				return err
			}
			span.SetAttributes(spans.ZipBytes.Int64(receipts[i].ZipBytes), spans.SealedBytes.Int64(receipts[i].SealedBytes))
			w.metrics.stored(ctx, x.Filter.TenantID, receipts[i], w.Now().Sub(started))
			s := status(schemas.PartEventID(part.Number), schemas.Running)
			s.Part = &receipts[i]
			return w.report(ctx, s)
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
func (w *Worker) stage(ctx context.Context, name string, part int, step func(context.Context) error) (err error) {
	ctx, span := spans.Start(ctx, name)
	defer func() { spans.End(span, err) }()
	return w.try(ctx, name, part, step)
}

// try retries one step and says where it failed when it is given up.
func (w *Worker) try(ctx context.Context, name string, part int, step func(context.Context) error) error {
	if err := w.retry(ctx, name, func() error { return step(ctx) }); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if refused := (refusal{}); errors.As(err, &refused) {
			return refused
		}
		w.metrics.failures.WithLabelValues(name).Inc()
		return failure{name, part, err}
	}
	return nil
}

func (w *Worker) accept(ctx context.Context, r *schemas.ExportRequest, topic schemas.Topic) (accepted pipeline.Acceptance, err error) {
	ctx, span := spans.Start(ctx, "accept")
	defer func() { spans.End(span, err) }()
	err = w.retry(ctx, "accept", func() (err error) {
		accepted, err = w.Exporter.Accept(ctx, r, func() (a pipeline.Acceptance, err error) {
			if a.Certificates, err = w.resolve(ctx, r); err != nil {
				return a, err
			}
			if a.Snapshot, err = w.Log.Seal(ctx, topic); err != nil {
				return a, err
			}
			if r.Snapshot != nil {
				if err := checkSnapshot(r.Snapshot, a.Snapshot); err != nil {
					return a, pipeline.Permanent(err)
				}
				a.Snapshot = r.Snapshot
			}
			if a.HistoryFrom, err = w.historyFrom(ctx, r); err != nil {
				return a, err
			}
			a.Since, err = w.since(ctx, r, a.Snapshot)
			return a, err
		})
		return err
	})
	var refused refusal
	switch {
	case errors.Is(err, pipeline.ErrConflict):
		return accepted, refusal{pipeline.ErrConflict.Error()}
	case errors.As(err, &refused):
		return accepted, refused
	case err != nil && ctx.Err() == nil:
		return accepted, failure{"accept", 0, err}
	}
	return accepted, err
}

// since is the snapshot of the export that the request continues, nil if it
// continues none.
func (w *Worker) since(ctx context.Context, r *schemas.ExportRequest, snapshot schemas.Snapshot) (schemas.Snapshot, error) {
	if r.SinceExport == "" {
		return nil, nil
	}
	refuse := func(format string, args ...any) error {
		return pipeline.Permanent(refusal{fmt.Sprintf("since_export: "+format, args...)})
	}
	earlier, found, err := w.Exporter.Accepted(ctx, r.TenantID, r.SinceExport)
	if err != nil {
		return nil, err
	}
	state, err := w.Exporter.Ended(ctx, r.TenantID, r.SinceExport)
	switch {
	case err != nil:
		return nil, err
	case !found && r.Since != nil: // so long ago that the store has nothing of it
		earlier.Snapshot = r.Since
	case !found:
		return nil, refuse("tenant %s has no export %s", r.TenantID, r.SinceExport)
	case state != schemas.Completed:
		return nil, refuse("export %s was not completed; name one that was", r.SinceExport)
	case earlier.Request != nil && earlier.Request.Entity != r.Entity:
		return nil, refuse("export %s is of entity %s", r.SinceExport, earlier.Request.Entity)
	}
	if p, past := snapshot.Past(earlier.Snapshot); past {
		return nil, refuse("export %s reaches past the snapshot in partition %d; name an earlier one", r.SinceExport, p)
	}
	return earlier.Snapshot, nil
}

// historyFrom is before when rows of the tenant are kept no longer, nil if all are kept.
func (w *Worker) historyFrom(ctx context.Context, r *schemas.ExportRequest) (*schemas.Time, error) {
	if w.HistoryFrom == nil {
		return nil, nil
	}
	from, err := w.HistoryFrom(ctx, r.TenantID, r.Entity)
	if err != nil || from.IsZero() {
		return nil, err
	}
	return &from, nil
}

// checkSnapshot refuses a snapshot that lies in the future.
func checkSnapshot(asked, end schemas.Snapshot) error {
	if p, past := end.Past(asked); past {
		return refusal{fmt.Sprintf("snapshot: partition %d has no offset %d yet; use the snapshot of an earlier export", p, asked[p])}
	}
	return nil
}

func (w *Worker) checkTenant(ctx context.Context, r *schemas.ExportRequest) error {
	return w.stage(ctx, "plan", 0, func(ctx context.Context) error {
		known, err := w.Tenants.HasTenant(ctx, r.TenantID)
		if err != nil || known {
			return err
		}
		// For good: asked again under this id it would be an export as of the snapshot
		// taken now, of nothing.
		if _, err := w.Exporter.End(ctx, r.TenantID, r.ExportID, schemas.Refused); err != nil {
			return err
		}
		return pipeline.Permanent(unknownTenant(r))
	})
}

// unknownTenant is the one reason to refuse a request after it was accepted: only when
// ingest is past the snapshot can it be told.
func unknownTenant(r *schemas.ExportRequest) refusal {
	return refusal{fmt.Sprintf("tenant %q is unknown: nothing was ever stored for it; once there is, ask again under another id", r.TenantID)}
}

// isOver reports whether nothing is left to do: the attempt was given up before,
// which is reported again. If the export is gone it is ErrGone.
func (w *Worker) isOver(ctx context.Context, r *schemas.ExportRequest, attempt int) (bool, error) {
	var gone bool
	var state schemas.State
	var failed *schemas.Failure
	err := w.stage(ctx, "accept", 0, func(ctx context.Context) (err error) {
		if gone, err = w.Exporter.Cancelled(ctx, r.TenantID, r.ExportID); err != nil {
			return err
		}
		if state, err = w.Exporter.Ended(ctx, r.TenantID, r.ExportID); err != nil {
			return err
		}
		failed, err = w.Exporter.Failed(ctx, r.TenantID, r.ExportID, attempt)
		return err
	})
	switch {
	case err != nil:
		return false, err
	case state == schemas.Refused:
		return false, unknownTenant(r)
	case gone || state != "" && state != schemas.Completed:
		return false, pipeline.ErrGone
	case failed != nil && state == "":
		return true, w.reportFailed(ctx, r, attempt, failed)
	}
	return false, nil
}
