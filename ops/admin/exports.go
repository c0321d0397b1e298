package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// Exports lists a page of exports, without their lists of parts.
func (h *Handle) Exports(ctx context.Context, f ledger.ExportFilter, p ledger.Page) (ledger.Listed[schemas.Export], error) {
	if err := h.reads(auth.Read); err != nil {
		return ledger.Listed[schemas.Export]{}, err
	}
	if err := checkStates(f.States); err != nil {
		return ledger.Listed[schemas.Export]{}, err
	}
	f.TenantID = h.tenant
	return h.History.ListExports(ctx, f, p)
}

// LatestRuns is the latest export of each of these jobs that ever ran, by job id.
func (h *Handle) LatestRuns(ctx context.Context, jobIDs []string) (map[string]*schemas.Export, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	return h.History.LatestRuns(ctx, h.tenant, jobIDs)
}

// Export is one export without its parts. One that was requested a moment ago is there
// before any worker knows of it.
func (h *Handle) Export(ctx context.Context, id string) (schemas.Export, error) {
	if err := h.reads(auth.Read); err != nil {
		return schemas.Export{}, err
	}
	return h.export(ctx, id)
}

// exportQuestion is what those who follow an export have in common.
type exportQuestion struct{ tenantID, exportID string }

// Watched is Export for those who follow it. It may be as old as age: history is asked once
// for all of them.
func (h *Handle) Watched(ctx context.Context, id string, age time.Duration) (schemas.Export, error) {
	if err := h.reads(auth.Read); err != nil {
		return schemas.Export{}, err
	}
	return h.watched.get(ctx, exportQuestion{h.tenant, id}, age, func(ctx context.Context) (schemas.Export, error) { return h.export(ctx, id) })
}

// Parts are the stored parts of an export after a number, in order, at most limit.
func (h *Handle) Parts(ctx context.Context, id string, after, limit int) ([]schemas.Receipt, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	return h.History.Parts(ctx, h.tenant, id, after, limit)
}

// StoredTimes is when each of an export's first parts, up to limit of them, was stored.
func (h *Handle) StoredTimes(ctx context.Context, id string, limit int) (map[int]schemas.Time, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	return h.History.StoredTimes(ctx, h.tenant, id, limit)
}

func (h *Handle) export(ctx context.Context, id string) (schemas.Export, error) {
	e, ok, err := h.History.Export(ctx, h.tenant, id)
	if err != nil {
		return e, err
	}
	if ok {
		return h.retried(ctx, e)
	}
	r, err := h.requested(ctx, id)
	if err != nil {
		return e, err
	}
	if r != nil {
		return schemas.Export{
			TenantID: h.tenant, ExportID: id, State: schemas.Requested, Waiting: "waiting for a worker",
			Request: shown(r), RequestDigest: r.Digest(), RequestedAt: r.RequestedAt, UpdatedAt: r.RequestedAt,
		}, nil
	}
	return e, ErrNotFound
}

// retryTimeout bounds the wait for a retry that another process requested.
const retryTimeout = time.Second

// retried is how a failed export stands once a retry of it is acknowledged: a stream of its
// events would end at once otherwise, had no worker begun the next attempt yet. While Kafka
// does not answer, it stands as history says.
func (h *Handle) retried(ctx context.Context, e schemas.Export) (schemas.Export, error) {
	if e.State != schemas.Failed {
		return e, nil
	}
	within, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	r, err := h.Requests.Retry(within, e.TenantID, e.ExportID, e.Attempt)
	if err != nil || r == nil {
		return e, ctx.Err()
	}
	if digest := r.Digest(); slices.ContainsFunc(e.Conflicts, func(c schemas.Conflict) bool { return c.RequestDigest == digest }) {
		return e, nil // it was refused
	}
	e.State, e.Waiting = schemas.Requested, "waiting for a worker to retry it"
	e.EndedAt, e.Reason, e.Failure = schemas.Time{}, "", nil
	return e, nil
}

// requested is the request of an export that history does not know; nil if none exists.
func (h *Handle) requested(ctx context.Context, id string) (*schemas.ExportRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	return h.Requests.Export(ctx, h.tenant, id)
}

// shown is a request as history tells it: certificates by fingerprint.
func shown(r *schemas.ExportRequest) *schemas.ExportRequest {
	c := *r
	c.Recipients = nil
	for _, given := range r.Recipients {
		certs, err := smime.ParseRecipients([]byte(given.Certificate))
		if given.Certificate == "" || err != nil {
			c.Recipients = append(c.Recipients, schemas.Recipient{Fingerprint: given.Fingerprint})
		}
		for _, cert := range certs {
			c.Recipients = append(c.Recipients, schemas.Recipient{Fingerprint: smime.Fingerprint(cert)})
		}
	}
	return &c
}

// CreateExport asks for an export and returns it as requested. Tenant, time and by
// whom are the handle's to say. With a key, asking again is the same export; with a
// key or id that stands for another one it is a *ConflictError.
func (h *Handle) CreateExport(ctx context.Context, r schemas.ExportRequest, key string) (schemas.Export, error) {
	permission := auth.Change
	if len(r.Contacts) > 0 {
		permission = auth.Privacy
	}
	if err := h.changes(ctx, permission, "export.create", subjectOf(r.ExportID)); err != nil {
		return schemas.Export{}, err
	}
	r.Action, r.TenantID = schemas.ActionCreate, h.tenant
	r.RequestedAt, r.RequestedBy, r.RequestedFrom = schemas.TimeOf(h.Now()), h.who.Name, h.who.From
	switch {
	case r.ExportID == "" && key != "":
		sum := sha256.Sum256([]byte(h.tenant + "\x00" + h.who.Subject + "\x00" + key))
		r.ExportID = "key-" + hex.EncodeToString(sum[:13])
	case r.ExportID == "":
		r.ExportID = ulid.Make().String()
	}
	if err := h.checkRequest(ctx, &r); err != nil {
		return schemas.Export{}, h.refuse(ctx, "export.create", subjectOf(r.ExportID), err)
	}
	known, ok, err := h.History.Export(ctx, h.tenant, r.ExportID)
	if err != nil {
		return known, err
	}
	digest := known.RequestDigest
	if !ok {
		asked, err := h.requested(ctx, r.ExportID)
		if err != nil {
			return known, err
		}
		if ok = asked != nil; ok {
			digest = asked.Digest()
		}
	}
	switch {
	case ok && digest == r.Digest():
		return h.export(ctx, r.ExportID)
	case ok:
		return schemas.Export{}, h.refuse(ctx, "export.create", r.ExportID, &ConflictError{fmt.Sprintf("export %s was requested with other content; choose another id or key", r.ExportID)})
	}
	if err := h.admit(ctx, "export.create", r.ExportID); err != nil {
		return schemas.Export{}, err
	}
	if err := h.request(ctx, "export.create", r.ExportID, r.About(), &r); err != nil {
		return schemas.Export{}, err
	}
	return h.export(ctx, r.ExportID)
}

// subjectOf is an id fit for an audit record, whatever was given.
func subjectOf(id string) string {
	if (&schemas.ExportRequest{TenantID: "x", ExportID: id}).CheckIDs() != nil {
		return "new"
	}
	return id
}

// checkRequest finds what a worker would refuse, before anything is published: a
// private key must not even get to the topic.
func (h *Handle) checkRequest(ctx context.Context, r *schemas.ExportRequest) error {
	for n, given := range r.Recipients {
		field := fmt.Sprintf("recipients[%d]: ", n)
		switch {
		case given.Certificate != "":
			certs, err := smime.ParseRecipients([]byte(given.Certificate))
			if err != nil {
				return &schemas.InvalidError{Problems: []string{field + err.Error()}}
			}
			if !h.InlineCertificates {
				return &schemas.InvalidError{Problems: []string{field + "a certificate in the request is not accepted here; register it and give its fingerprint"}}
			}
			for _, cert := range certs {
				if err := smime.CheckRecipient(cert, h.Now()); err != nil {
					return &schemas.InvalidError{Problems: []string{field + err.Error()}}
				}
			}
		case given.Fingerprint != "":
			if err := h.usable(ctx, given.Fingerprint); err != nil {
				return &schemas.InvalidError{Problems: []string{field + err.Error()}}
			}
		}
	}
	if err := r.Validate(); err != nil {
		return err
	}
	if err := h.checkPolicy(r.FieldPolicy, r.Entity); err != nil {
		return err
	}
	if err := h.checkRetention(r.RetentionDays); err != nil {
		return err
	}
	if err := h.Rows.CheckContacts(ctx, h.tenant, r.Contacts); err != nil {
		return err
	}
	if r.SinceExport != "" {
		since, ok, err := h.History.Export(ctx, h.tenant, r.SinceExport)
		if err != nil {
			return err
		}
		if !ok || since.Completion == nil {
			return &schemas.InvalidError{Problems: []string{"since_export: there is no completed export " + r.SinceExport}}
		}
	}
	return nil
}

// CloneExport asks for another export of the same content, as of now, under a new id.
func (h *Handle) CloneExport(ctx context.Context, id string) (schemas.Export, error) {
	if err := h.changes(ctx, auth.Change, "export.clone", subjectOf(id)); err != nil {
		return schemas.Export{}, err
	}
	e, err := h.export(ctx, id)
	if err != nil {
		return e, err
	}
	if e.Request == nil {
		return e, h.refuse(ctx, "export.clone", id, &ConflictError{"history does not hold the request of export " + id})
	}
	r := *e.Request
	if len(r.Recipients) == 0 { // history names them beside the request
		for _, c := range e.Recipients {
			r.Recipients = append(r.Recipients, schemas.Recipient{Fingerprint: c.Fingerprint})
		}
	}
	r.ExportID, r.Snapshot, r.JobID, r.ScheduledAt = "", nil, "", schemas.Time{}
	r.Chained, r.ChainFrom, r.Supersedes = false, schemas.Time{}, ""
	return h.CreateExport(ctx, r, "")
}

// CancelExport asks to end an export that has not ended.
func (h *Handle) CancelExport(ctx context.Context, id string) error {
	return h.control(ctx, schemas.ActionCancel, id, func(s schemas.State) bool { return !s.Ended() })
}

// RetryExport asks to take a failed export up again.
func (h *Handle) RetryExport(ctx context.Context, id string) error {
	return h.control(ctx, schemas.ActionRetry, id, func(s schemas.State) bool { return s == schemas.Failed })
}

// DeleteExport asks to remove the artifacts of an export that has ended.
func (h *Handle) DeleteExport(ctx context.Context, id string) error {
	return h.control(ctx, schemas.ActionDelete, id, func(s schemas.State) bool { return s.Ended() && s != schemas.Refused && s != schemas.Deleted })
}

func (h *Handle) control(ctx context.Context, action, id string, allows func(schemas.State) bool) error {
	if err := h.changes(ctx, auth.Change, "export."+action, subjectOf(id)); err != nil {
		return err
	}
	e, err := h.export(ctx, id)
	if err != nil {
		return err
	}
	if !allows(e.State) {
		return h.refuse(ctx, "export."+action, id, &ConflictError{fmt.Sprintf("export %s is %s: there is nothing to %s", id, e.State, action)})
	}
	if action == schemas.ActionDelete { // the worker asks, too: this answers at once
		holds, err := h.Definitions.Held(ctx, h.tenant)
		if err != nil {
			return err
		}
		if hold, held := holds.OfExport(id); held {
			return h.refuse(ctx, "export."+action, id, &ConflictError{fmt.Sprintf("the hold %s (%s) keeps the files of export %s; it can be deleted once that is released", hold.HoldID, hold.Name, id)})
		}
	}
	r := &schemas.ExportRequest{
		Action: action, TenantID: h.tenant, ExportID: id, RequestedAt: schemas.TimeOf(h.Now()), RequestedBy: h.who.Name, RequestedFrom: h.who.From,
	}
	if action == schemas.ActionRetry {
		r.Attempt = e.Attempt
	}
	return h.request(ctx, "export."+action, id, "requested", r)
}

// checkStates refuses states nobody knows, in a filter.
func checkStates(states []string) error {
	for _, s := range states {
		if !slices.Contains(schemas.States(), schemas.State(s)) {
			return fmt.Errorf("%w: state %q is unknown; states are %v", ledger.ErrPage, strings.ToValidUTF8(s, "?"), schemas.States())
		}
	}
	return nil
}
