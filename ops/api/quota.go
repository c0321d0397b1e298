package api

import (
	"context"
	"fmt"
	"math"

	"cdds/ops/admin"
	"cdds/pipeline"
	"cdds/schemas"
)

// quotaHeaders say what a tenant's quota is and what is left of it, beside what limits says of
// requests.
func quotaHeaders(u pipeline.QuotaUse) (policy, left []string) {
	if u.Exports > 0 {
		policy = append(policy, fmt.Sprintf(`"exports";q=%d`, u.Exports))
		left = append(left, fmt.Sprintf(`"exports";r=%d`, max(0, u.Exports-u.Open)))
	}
	if u.Bytes > 0 {
		policy = append(policy, fmt.Sprintf(`"bytes";q=%d;w=%d`, u.Bytes, 24*60*60))
		left = append(left, fmt.Sprintf(`"bytes";r=%d;t=%.0f`, max(0, u.Bytes-u.Sealed), math.Ceil(u.Resets.Sub(u.AsOf.Time).Seconds())))
	}
	return policy, left
}

// accepted is the answer to what a worker is yet to do.
type accepted struct {
	Location string   `header:"Location" doc:"Where to follow the export."`
	Policy   []string `header:"RateLimit-Policy" doc:"The quota of the tenant, if it has one."`
	Left     []string `header:"RateLimit" doc:"What is left of the tenant's quota, if it has one."`
	Body     schemas.Export
}

func acceptedOf(e schemas.Export, err error) (*accepted, error) {
	if err != nil {
		return nil, err
	}
	return &accepted{Location: Prefix + "/exports/" + e.ExportID, Body: e}, nil
}

// requested is acceptedOf an export that counts for its tenant's quota.
func requested(ctx context.Context, a *API, s Scope, request func(*admin.Handle) (schemas.Export, error)) (*accepted, error) {
	h, err := a.handle(ctx, s.Tenant)
	if err != nil {
		return nil, err
	}
	out, err := acceptedOf(request(h))
	if err != nil {
		return nil, err
	}
	use, bounded, err := h.Quota(ctx)
	if err == nil && bounded { // the request was made, whatever is known of the quota
		out.Policy, out.Left = quotaHeaders(use)
	}
	return out, nil
}
