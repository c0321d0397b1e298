package admin

import (
	"context"

	"github.com/oklog/ulid/v2"

	"cdds/ops/auth"
	"cdds/pipeline"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// Erasures lists a page of erasures, in a state or in any if it is empty.
func (h *Handle) Erasures(ctx context.Context, state string, p ledger.Page) (ledger.Listed[schemas.Erasure], error) {
	if err := h.reads(auth.Read); err != nil {
		return ledger.Listed[schemas.Erasure]{}, err
	}
	return h.History.ListErasures(ctx, h.tenant, state, p)
}

// Erasure is how one erasure stands.
func (h *Handle) Erasure(ctx context.Context, id string) (schemas.Erasure, error) {
	if err := h.reads(auth.Read); err != nil {
		return schemas.Erasure{}, err
	}
	e, ok, err := h.knownErasure(ctx, id)
	if err != nil || ok {
		return e, err
	}
	r, err := h.erasureRequested(ctx, id)
	if err != nil {
		return e, err
	}
	if r == nil {
		return e, ErrNotFound
	}
	return schemas.Erasure{Request: *r, State: schemas.ErasureRequested, Waiting: "waiting for a worker"}, nil
}

// knownErasure is how an erasure stands as history shows it, or as it was decided where ClickHouse
// has lost that; false if neither knows it.
func (h *Handle) knownErasure(ctx context.Context, id string) (schemas.Erasure, bool, error) {
	e, ok, err := h.History.Erasure(ctx, h.tenant, id)
	if err != nil || ok {
		return e, ok, err
	}
	named := &schemas.ErasureRequest{TenantID: h.tenant, ErasureID: id, ContactID: "any"}
	if valid := named.Validate() == nil; !valid { // and no part of an object's key
		return e, false, nil
	}
	key := pipeline.ErasureKey{TenantID: h.tenant, ErasureID: id}
	if e, ok, err = h.ErasureDecisions.Ended(ctx, key); err != nil || ok {
		return e, ok, err
	}
	return h.ErasureDecisions.Accepted(ctx, key)
}

// erasureRequested is the request of an erasure that history does not know; nil if none
// exists.
func (h *Handle) erasureRequested(ctx context.Context, id string) (*schemas.ErasureRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	return h.Requests.Erasure(ctx, h.tenant, id)
}

// Erase asks to forget contacts and interactions, and returns the request's id.
func (h *Handle) Erase(ctx context.Context, r schemas.ErasureRequest) (schemas.ErasureRequest, error) {
	if err := h.changes(ctx, auth.Privacy, "erasure.create", subjectOf(r.ErasureID)); err != nil {
		return r, err
	}
	if r.ErasureID == "" {
		r.ErasureID = ulid.Make().String()
	}
	r.TenantID, r.RequestedAt, r.RequestedBy, r.RequestedFrom = h.tenant, schemas.TimeOf(h.Now()), h.who.Name, h.who.From
	if err := r.Validate(); err != nil {
		return r, h.refuse(ctx, "erasure.create", subjectOf(r.ErasureID), err)
	}
	known, ok, err := h.knownErasure(ctx, r.ErasureID)
	if err != nil {
		return r, err
	}
	if !ok {
		asked, err := h.erasureRequested(ctx, r.ErasureID)
		if err != nil {
			return r, err
		}
		if ok = asked != nil; ok {
			known.Request = *asked
		}
	}
	if ok && !known.IsOf(r) {
		return r, h.refuse(ctx, "erasure.create", r.ErasureID, &ConflictError{"erasure " + r.ErasureID + " is about something else; choose another id"})
	}
	if ok {
		return known.Request, nil
	}
	return r, h.request(ctx, "erasure.create", r.ErasureID, "", &r)
}

// Audit lists a page of the tenant's audit trail; for who sees all tenants and named
// none, of what is of no one tenant.
func (h *Handle) Audit(ctx context.Context, f ledger.AuditFilter, p ledger.Page) (ledger.Listed[schemas.AuditRecord], error) {
	permission := auth.Read
	if h.tenant == schemas.AllTenants {
		permission = auth.Manage
	}
	if err := h.reads(permission); err != nil {
		return ledger.Listed[schemas.AuditRecord]{}, err
	}
	f.TenantID = h.tenant
	return h.History.ListAudit(ctx, f, p)
}
