//go:build !receiver

package client

import (
	"context"
	"net/http"
	"net/url"

	"cdds/ops/api"
	"cdds/schemas"
)

// Holds lists a tenant's holds, the oldest first.
func (c *Client) Holds(ctx context.Context, tenant string, released bool) ([]schemas.Hold, error) {
	q := of(tenant)
	if released {
		q.Set("released", "true")
	}
	var page api.Listing[schemas.Hold]
	err := c.call(ctx, http.MethodGet, "/holds", q, nil, &page)
	return page.Items, err
}

// CreateHold makes a hold.
func (c *Client) CreateHold(ctx context.Context, tenant string, in api.NewHold) (h schemas.Hold, err error) {
	return h, c.call(ctx, http.MethodPost, "/holds", of(tenant), in, &h)
}

// Hold is one hold.
func (c *Client) Hold(ctx context.Context, tenant, id string) (h schemas.Hold, err error) {
	return h, c.call(ctx, http.MethodGet, "/holds/"+url.PathEscape(id), of(tenant), nil, &h)
}

// ReleaseHold releases a hold, or requests its release where two people must.
func (c *Client) ReleaseHold(ctx context.Context, tenant, id string) (h schemas.Hold, err error) {
	return h, c.call(ctx, http.MethodPost, "/holds/"+url.PathEscape(id)+"/release", of(tenant), nil, &h)
}

// WithdrawRelease takes back the request to release a hold.
func (c *Client) WithdrawRelease(ctx context.Context, tenant, id string) (h schemas.Hold, err error) {
	return h, c.call(ctx, http.MethodPost, "/holds/"+url.PathEscape(id)+"/withdraw", of(tenant), nil, &h)
}
