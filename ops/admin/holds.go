package admin

import (
	"cmp"
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"cdds/ops/auth"
	"cdds/schemas"
)

// Holds lists the tenant's holds, the oldest first; with released, those that were released,
// too.
func (h *Handle) Holds(ctx context.Context, released bool) ([]schemas.Hold, error) {
	if err := h.reads(auth.Read); err != nil {
		return nil, err
	}
	all := []schemas.Hold{}
	for _, hold := range h.definitions(ctx).Holds(h.tenant) {
		if released || hold.Active() {
			all = append(all, hold)
		}
	}
	return all, nil
}

// Hold is one of the tenant's holds, also a released one.
func (h *Handle) Hold(ctx context.Context, id string) (schemas.Hold, error) {
	if err := h.reads(auth.Read); err != nil {
		return schemas.Hold{}, err
	}
	return h.hold(ctx, id)
}

func (h *Handle) hold(ctx context.Context, id string) (schemas.Hold, error) {
	hold, ok := h.definitions(ctx).Hold(h.tenant, id)
	if !ok {
		return hold, missing(h.definitionsAsOfNow)
	}
	return hold, nil
}

// CreateHold makes a hold. From when it returns, nothing of what it names is removed; an
// erasure that was removing it already goes on.
func (h *Handle) CreateHold(ctx context.Context, hold schemas.Hold) (schemas.Hold, error) {
	if err := h.changes(ctx, auth.Privacy, "hold.create", subjectOf(hold.HoldID)); err != nil {
		return hold, err
	}
	if hold.HoldID == "" {
		hold.HoldID = ulid.Make().String()
	}
	now := schemas.TimeOf(h.Now())
	hold.TenantID, hold.CreatedAt, hold.CreatedBy, hold.UpdatedAt, hold.Revision = h.tenant, now, h.who.Name, now, 1
	if err := cmp.Or(hold.Validate(), hold.CheckExports()); err != nil {
		return hold, h.refuse(ctx, "hold.create", subjectOf(hold.HoldID), err)
	}
	if _, known := h.definitions(ctx).Hold(h.tenant, hold.HoldID); known {
		return hold, h.refuse(ctx, "hold.create", hold.HoldID, &ConflictError{"there is a hold " + hold.HoldID + "; choose another id"})
	}
	return hold, h.revised(ctx, "hold.create", hold.HoldID, fmt.Sprintf("%s: %s", hold.Name, hold.Reason), &hold)
}

// ReleaseHold ends a hold: what was to be removed is removed then. Where two people must
// release it, the first one requests the release.
func (h *Handle) ReleaseHold(ctx context.Context, id string) (schemas.Hold, error) {
	if err := h.changes(ctx, auth.Privacy, "hold.release", subjectOf(id)); err != nil {
		return schemas.Hold{}, err
	}
	hold, err := h.hold(ctx, id)
	if err != nil {
		return hold, err
	}
	if !hold.Active() {
		return hold, h.refuse(ctx, "hold.release", id, &ConflictError{"the hold was released by " + hold.ReleasedBy})
	}
	action := "hold.release"
	hold.UpdatedAt = schemas.TimeOf(h.Now())
	hold.Revision++
	switch {
	case h.TwoPeople && hold.ReleaseRequestedBy == "":
		action, hold.ReleaseRequestedBy = "hold.request_release", h.who.Name
	case h.TwoPeople && hold.ReleaseRequestedBy == h.who.Name:
		return hold, h.refuse(ctx, action, id, &ConflictError{"you requested the release; a second person must release the hold"})
	default:
		hold.ReleasedAt, hold.ReleasedBy = hold.UpdatedAt, h.who.Name
	}
	return hold, h.revised(ctx, action, id, hold.Name, &hold)
}

// WithdrawRelease takes back the request to release a hold, whoever made it: the hold stays,
// and a release begins with a new request.
func (h *Handle) WithdrawRelease(ctx context.Context, id string) (schemas.Hold, error) {
	const action = "hold.withdraw_release"
	if err := h.changes(ctx, auth.Privacy, action, subjectOf(id)); err != nil {
		return schemas.Hold{}, err
	}
	hold, err := h.hold(ctx, id)
	switch {
	case err != nil:
		return hold, err
	case !hold.Active():
		return hold, h.refuse(ctx, action, id, &ConflictError{"the hold was released by " + hold.ReleasedBy})
	case hold.ReleaseRequestedBy == "":
		return hold, h.refuse(ctx, action, id, &ConflictError{"nobody requested the release of this hold"})
	}
	requested := hold.ReleaseRequestedBy
	hold.UpdatedAt, hold.ReleaseRequestedBy = schemas.TimeOf(h.Now()), ""
	hold.Revision++
	return hold, h.revised(ctx, action, id, hold.Name+"; requested by "+requested, &hold)
}
