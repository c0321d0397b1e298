package admin

import (
	"context"
	"errors"

	"cdds/pipeline"
)

// Quota is how much of its quota the tenant uses; false if nothing bounds its exports.
func (h *Handle) Quota(ctx context.Context) (u pipeline.QuotaUse, bounded bool, err error) {
	if !h.Quotas.Bounds(h.tenant) {
		return u, false, nil
	}
	u, err = h.Quotas.Use(ctx, h.tenant)
	return u, true, err
}

// admit refuses what a worker would for the tenant's quota, with a *pipeline.QuotaError.
func (h *Handle) admit(ctx context.Context, action, subject string) error {
	err := h.Quotas.AdmitOpen(ctx, h.tenant, "")
	var over *pipeline.QuotaError
	if err == nil {
		// While history is away, the worker finds out when the export begins.
		_ = errors.As(h.Quotas.AdmitBytes(ctx, h.tenant, h.Now()), &over)
	}
	if over != nil || errors.As(err, &over) {
		return h.refuse(ctx, action, subject, over)
	}
	return err
}
