package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"

	"cdds/ops/auth"
	"cdds/schemas"
)

// Definitions are the jobs and certificates of all tenants, in memory;
// *definitions.Definitions is one.
type Definitions interface {
	Tenants() []string
	Jobs(tenantID string) []schemas.Job
	Job(tenantID, jobID string) (schemas.Job, bool)
	Certificates(tenantID string) []schemas.Certificate
	Certificate(tenantID, fingerprint string) (schemas.Certificate, bool)
	// Recipient is the certificate to use where fingerprint is named.
	Recipient(tenantID, fingerprint string) (schemas.Certificate, error)
	// Holds are all of the tenant, released ones included; Hold is one, and Held the active
	// ones as of now.
	Holds(tenantID string) schemas.Holds
	Hold(tenantID, holdID string) (schemas.Hold, bool)
	Held(ctx context.Context, tenantID string) (schemas.Holds, error)
	// Sync returns once everything that was acknowledged before is known.
	Sync(ctx context.Context) error
}

// QueuesAmong returns those of some names that are queues of the tenant's interactions.
func (h *Handle) QueuesAmong(ctx context.Context, names []string) ([]string, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	return h.Rows.QueuesAmong(ctx, h.tenant, names)
}

// Jobs lists the tenant's jobs that are not deleted, by id.
func (h *Handle) Jobs(ctx context.Context) ([]schemas.Job, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	return h.definitions(ctx).Jobs(h.tenant), nil
}

// Job is one job of the tenant.
func (h *Handle) Job(ctx context.Context, id string) (schemas.Job, error) {
	if err := h.reads(auth.Read); err != nil {
		return schemas.Job{}, err
	}
	return h.job(ctx, id)
}

func (h *Handle) job(ctx context.Context, id string) (schemas.Job, error) {
	j, ok := h.definitions(ctx).Job(h.tenant, id)
	if !ok {
		return schemas.Job{}, missing(h.definitionsAsOfNow)
	}
	if j.Deleted() {
		return schemas.Job{}, ErrNotFound
	}
	return j, nil
}

// SaveJob makes a job if revision is 0, or changes the one that was read in revision. Of
// two changes of one revision one succeeds, the other is schemas.ErrChanged.
func (h *Handle) SaveJob(ctx context.Context, j schemas.Job, revision int) (schemas.Job, error) {
	action := "job.change"
	if revision == 0 {
		action = "job.create"
	}
	if err := h.changes(ctx, auth.Change, action, subjectOf(j.JobID)); err != nil {
		return j, err
	}
	if j.JobID == "" {
		j.JobID = ulid.Make().String()
	}
	j.TenantID = h.tenant
	known, ok := h.definitions(ctx).Job(h.tenant, j.JobID)
	var previous *schemas.Job
	switch {
	case ok && known.Deleted():
		return j, h.refuse(ctx, action, j.JobID, &ConflictError{"job " + j.JobID + " was deleted, and its id cannot be reused; choose another id"})
	case ok && known.Revision != revision:
		return j, h.refuse(ctx, action, j.JobID, schemas.ErrChanged)
	case !ok && revision != 0:
		return j, missing(h.definitionsAsOfNow)
	case ok:
		previous = &known
	}
	if j.State == "" {
		j.State = schemas.JobActive
	}
	return h.revise(ctx, action, j, previous)
}

// revise makes a job's next revision.
func (h *Handle) revise(ctx context.Context, action string, j schemas.Job, previous *schemas.Job) (schemas.Job, error) {
	next := j.Revised(previous, h.who.Name, schemas.TimeOf(h.Now()))
	err := next.Validate()
	// A job that can no longer work can still be suspended or deleted.
	ends := previous != nil && next.State != previous.State && next.State != schemas.JobActive
	if err == nil && h.CheckJob != nil && !ends {
		err = h.CheckJob(ctx, *next)
	}
	if err == nil && next.State == schemas.JobActive {
		err = h.checkPolicy(next.FieldPolicy, next.Entity)
	}
	if err == nil && next.State == schemas.JobActive {
		err = h.checkRetention(next.RetentionDays)
	}
	if err == nil && next.State == schemas.JobActive {
		for n, fingerprint := range next.Recipients {
			if bad := h.usable(ctx, fingerprint); bad != nil {
				err = &schemas.InvalidError{Problems: []string{fmt.Sprintf("recipients[%d]: %v", n, bad)}}
			}
		}
	}
	if err != nil {
		return *next, h.refuse(ctx, action, subjectOf(next.JobID), err)
	}
	return *next, h.revised(ctx, action, next.JobID, next.Title, next)
}

// SetJobState suspends, resumes (active) or deletes a job. Deleting one keeps the
// exports it made.
func (h *Handle) SetJobState(ctx context.Context, id, state string) (schemas.Job, error) {
	action := map[string]string{schemas.JobActive: "job.resume", schemas.JobSuspended: "job.suspend", schemas.JobDeleted: "job.delete"}[state]
	if action == "" {
		return schemas.Job{}, &schemas.InvalidError{Problems: []string{"state: must be one of " + strings.Join(schemas.JobStates(), ", ")}}
	}
	if err := h.changes(ctx, auth.Change, action, subjectOf(id)); err != nil {
		return schemas.Job{}, err
	}
	j, err := h.job(ctx, id)
	if err == nil && !h.revisions.Allow(j.Version()) {
		err = h.refuse(ctx, action, id, schemas.ErrChanged)
	}
	if err != nil || j.State == state {
		return j, err
	}
	previous := j
	j.State = state
	return h.revise(ctx, action, j, &previous)
}

// RunJob asks for a run of a job now, whatever its schedule, and returns the export.
func (h *Handle) RunJob(ctx context.Context, id string) (schemas.Export, error) {
	if err := h.changes(ctx, auth.Change, "job.run", subjectOf(id)); err != nil {
		return schemas.Export{}, err
	}
	j, err := h.job(ctx, id)
	if err != nil {
		return schemas.Export{}, err
	}
	r := h.Run(j)
	again, err := h.requested(ctx, r.ExportID)
	if err != nil {
		return schemas.Export{}, err
	}
	if again != nil { // history does not know it yet
		return schemas.Export{}, h.refuse(ctx, "job.run", id, &ConflictError{fmt.Sprintf("run %s of the job was requested just now", r.ExportID)})
	}
	if err := h.admit(ctx, "job.run", id); err != nil {
		return schemas.Export{}, err
	}
	r.RequestedAt, r.RequestedBy, r.RequestedFrom = schemas.TimeOf(h.Now()), h.who.Name, h.who.From
	if err := h.change(ctx, "job.run", id, "export "+r.ExportID, r); err != nil {
		return schemas.Export{}, err
	}
	return h.export(ctx, r.ExportID)
}

// NextRuns are the next times an active job is due, at most n.
func (h *Handle) NextRuns(ctx context.Context, id string, n int) ([]schemas.Time, error) {
	j, err := h.Job(ctx, id)
	if err != nil || j.State != schemas.JobActive {
		return nil, err
	}
	return h.Next(j, schemas.TimeOf(h.Now()), n)
}
