package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"cdds/ops/auth"
	"cdds/pipeline"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Estimator finds out what an export would hold, before it is requested.
type Estimator struct {
	// Exporter plans; it needs neither a store nor a key for that.
	Exporter  *pipeline.Exporter
	Rows      EstimatedRows
	Positions Positions
	History   interface {
		ListExports(ctx context.Context, f ledger.ExportFilter, p ledger.Page) (ledger.Listed[schemas.Export], error)
	}
}

// EstimatedRows are the stored rows; *warehouse.Warehouse has them.
type EstimatedRows interface {
	pipeline.MediaCounter
	HasTenant(ctx context.Context, tenantID string) (bool, error)
	CheckContacts(ctx context.Context, tenantID string, ids []string) error
}

const (
	// estimateTimeout bounds an estimate: an export is not bound to answer a request.
	estimateTimeout = 2 * time.Minute
	// recentExports is from how many exports size and duration are guessed.
	recentExports = 20
)

// Estimate is a *schemas.InvalidError if the request would be refused. Recipients may be left
// out.
func (e Estimator) Estimate(ctx context.Context, r schemas.ExportRequest) (of schemas.Estimate, err error) {
	if len(r.Recipients) == 0 {
		r.Recipients = []schemas.Recipient{{Fingerprint: strings.Repeat("0", 64)}}
	}
	if r.ExportID == "" {
		r.ExportID = ulid.Make().String()
	}
	if err := r.Validate(); err != nil {
		return of, err
	}
	if r.SinceExport != "" {
		return of, &schemas.InvalidError{Problems: []string{"since_export: only whole exports can be estimated; leave it out"}}
	}
	ctx, cancel := context.WithTimeout(ctx, estimateTimeout)
	defer cancel()
	known, err := e.Rows.HasTenant(ctx, r.TenantID)
	if err != nil {
		return of, err
	}
	if !known {
		return of, &schemas.InvalidError{Problems: []string{"tenant " + r.TenantID + " is unknown: nothing was ever stored for it"}}
	}
	if err := e.Rows.CheckContacts(ctx, r.TenantID, r.Contacts); err != nil {
		return of, err
	}
	x := pipeline.ExportOf(&r)
	topic, _ := schemas.SourceOf(r.Entity) // Validate knows the entity
	end, err := e.Positions.EndOffsets(ctx, topic)
	if err != nil {
		return of, err
	}
	stored, err := e.Positions.Ingested(ctx, topic)
	if err != nil {
		return of, err
	}
	if x.Snapshot = stored; r.Snapshot != nil {
		x.Snapshot = r.Snapshot
	}
	if of, err = e.Exporter.Estimate(ctx, x, e.Rows); err != nil {
		if errors.Is(err, warehouse.ErrUnstated) || pipeline.IsPermanent(err) {
			err = &schemas.InvalidError{Problems: []string{err.Error()}}
		}
		return of, err
	}
	of.Behind = x.Snapshot.Behind(stored)
	if r.Snapshot == nil {
		of.Behind = end.Behind(stored)
	}
	recent, err := e.History.ListExports(ctx, ledger.ExportFilter{TenantID: r.TenantID, Entity: r.Entity, States: []string{string(schemas.Completed)}}, ledger.Page{Limit: recentExports})
	of.Expect(&r, recent.Rows)
	return of, err
}

// estimatesAtOnce bounds the estimates of a process: each reads the keys of all its rows.
const estimatesAtOnce = 2

// Estimate returns what an export would hold. It needs the permission to request the export,
// is audited like that, and limited: 5 at once and then one every 6 s for each tenant.
func (h *Handle) Estimate(ctx context.Context, r schemas.ExportRequest) (of schemas.Estimate, err error) {
	permission := auth.Change
	if len(r.Contacts) > 0 {
		permission = auth.Privacy
	}
	if err := h.changes(ctx, permission, "export.estimate", "new"); err != nil {
		return of, err
	}
	if _, err := h.estimates.Take(h.tenant, h.Now()); err != nil {
		return of, err
	}
	select {
	case h.estimating <- struct{}{}:
		defer func() { <-h.estimating }()
	default:
		return of, &auth.ThrottledError{After: time.Second}
	}
	r.Action, r.TenantID, r.ExportID = schemas.ActionCreate, h.tenant, ""
	if of, err = h.Estimator.Estimate(ctx, r); err != nil {
		if invalid := (*schemas.InvalidError)(nil); errors.As(err, &invalid) {
			err = h.refuse(ctx, "export.estimate", "new", err)
		}
		return of, err
	}
	return of, h.change(ctx, "export.estimate", "new", r.About())
}
