package app

import (
	"time"

	"cdds/consumers"
	"cdds/pipeline"
)

// quotas are those of the configuration, counted from what all processes share. The roles
// export and web have them.
func (a *App) quotas() (*pipeline.Quotas, error) {
	refused, err := consumers.Register(a.Registry, consumers.NewTenants("cdds_tenant_quota_refused_total",
		"Requests for exports that were refused because a quota of the tenant was used up, by tenant and quota: exports, bytes.", "quota"))
	if err != nil {
		return nil, err
	}
	now := a.Now
	if now == nil {
		now = time.Now
	}
	return &pipeline.Quotas{
		Of: func(tenantID string) (q pipeline.Quota) {
			q.Exports, q.Bytes = a.Config.Export.QuotaOf(tenantID)
			return q
		},
		Store: a.bucket, History: a.ledger, Now: now,
		Refused: func(tenantID, bound string) { refused.Add(tenantID, 1, bound) },
	}, nil
}
