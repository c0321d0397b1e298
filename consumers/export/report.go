package export

import (
	"context"
	"iter"
	"strings"

	"cdds/pipeline"
	"cdds/schemas"
)

// refuse reports that a request was not granted.
func (w *Worker) refuse(ctx context.Context, r *schemas.ExportRequest, reason string) error {
	w.metrics.end(r.TenantID, schemas.Refused)
	jobID := r.JobID
	if reason == pipeline.ErrConflict.Error() {
		jobID = "" // another export has this id, and may be a run of that job
	}
	return w.report(ctx, w.refusalStatus(r, reason, jobID))
}

// refusalStatus says why a request was not granted; with a job id its webhook is sent.
func (w *Worker) refusalStatus(r *schemas.ExportRequest, reason, jobID string) *schemas.ExportStatus {
	return &schemas.ExportStatus{
		TenantID: r.TenantID, ExportID: r.ExportID, EventID: refusalOf(r), State: schemas.Refused,
		Request: withoutCertificates(r), RequestDigest: r.Digest(), Reason: reason, JobID: jobID,
	}
}

// refusalOf names the refusal of a request. Asking for something to be done with an
// export again has the same digest, and yet is to be answered again: whoever asked
// waits for it.
func refusalOf(r *schemas.ExportRequest) string {
	id := "refused/" + r.Digest()[:16]
	if r.Controls() && !r.RequestedAt.IsZero() {
		id += "/" + r.RequestedAt.String()
	}
	return id
}

// report publishes a status event, and what it means for the audit.
func (w *Worker) report(ctx context.Context, s *schemas.ExportStatus) error {
	s.Time, s.Worker = schemas.TimeOf(w.Now()), w.Name
	if log := w.log(ctx).With("event", s.EventID); s.Failure != nil {
		log.WarnContext(ctx, "export failed", "stage", s.Failure.Stage, "part", s.Failure.Part, "reason", s.Failure.Reason)
	} else {
		log.InfoContext(ctx, "export "+string(s.State), "reason", s.Reason)
	}
	return w.Publisher.Publish(ctx, schemas.Audited(s)...)
}

// reportState reports a step of the export, trying again: it never goes on with its history
// behind it unknown.
func (r *run) reportState(ctx context.Context, s *schemas.ExportStatus) error {
	err := r.retry(ctx, "report", 0, func() error { return r.report(ctx, s) })
	if err == nil {
		r.mu.Lock()
		r.state, r.told = s.State, ""
		r.mu.Unlock()
	}
	return err
}

// partsAtOnce is how many parts reportParts publishes together.
const partsAtOnce = 500

// reportParts reports parts that were stored before, many at once: there may be very many, and
// to wait for each takes minutes.
func (r *run) reportParts(ctx context.Context, parts iter.Seq[schemas.Receipt]) error {
	var some []schemas.Event
	publish := func() error {
		err := r.retry(ctx, "report", 0, func() error { return r.Publisher.Publish(ctx, some...) })
		if err == nil && len(some) > 0 {
			r.mu.Lock()
			r.state, r.told = schemas.Running, ""
			r.mu.Unlock()
		}
		some = some[:0]
		return err
	}
	for part := range parts {
		s := r.status(schemas.PartEventID(part.Number), schemas.Running)
		s.Part, s.Time, s.Worker = &part, schemas.TimeOf(r.Now()), r.Name
		if some = append(some, schemas.Audited(s)...); len(some) < partsAtOnce {
			continue
		}
		if err := publish(); err != nil {
			return err
		}
	}
	return publish()
}

// maxTold bounds, in bytes, the request that a status repeats; one with the most contacts that
// a request may have is below it.
const maxTold = 2 << 20

// withoutCertificates returns the request for status events, which name recipients beside it
// by their fingerprints.
func withoutCertificates(r *schemas.ExportRequest) *schemas.ExportRequest {
	told := *r
	told.Recipients = nil
	if b, err := schemas.Encode(&told); err != nil || len(b) > maxTold {
		return nil // a message can be larger than a status about it may be
	}
	return &told
}

// maxReason bounds the reason of a failure, in bytes: services answer at any length.
const maxReason = 4 << 10

func shortened(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return strings.ToValidUTF8(text[:maxReason], "\uFFFD") + "..."
}
