//go:build !receiver

package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"cdds/ops/api"
	"cdds/schemas"
)

// DeliveryQuery says which attempts to deliver to webhooks to list; empty fields mean any.
type DeliveryQuery struct {
	JobID, ExportID, WebhookID, Outcome string
	Limit                               int
	Cursor                              string
}

// Deliveries lists a page of attempts to deliver to webhooks, the latest first.
func (c *Client) Deliveries(ctx context.Context, tenant string, of DeliveryQuery) (page api.Listing[schemas.WebhookDelivery], err error) {
	q := url.Values{"tenant": {tenant}, "limit": {strconv.Itoa(of.Limit)}}
	for name, value := range map[string]string{"job": of.JobID, "export": of.ExportID, "webhook": of.WebhookID, "outcome": of.Outcome, "cursor": of.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return page, c.call(ctx, http.MethodGet, "/deliveries", q, nil, &page)
}

// WebhookSecret is the secret a job's webhook is signed with.
func (c *Client) WebhookSecret(ctx context.Context, tenant, jobID string) (string, error) {
	var s api.WebhookSecret
	err := c.call(ctx, http.MethodGet, "/jobs/"+url.PathEscape(jobID)+"/webhook-secret", of(tenant), nil, &s)
	return s.Secret, err
}

// TestWebhook requests a message that only tests a job's webhook.
func (c *Client) TestWebhook(ctx context.Context, tenant, jobID string) (d schemas.WebhookDelivery, err error) {
	return d, c.call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(jobID)+"/webhook-test", of(tenant), nil, &d)
}

// Redeliver requests that an event is delivered to a job's webhook again.
func (c *Client) Redeliver(ctx context.Context, tenant, jobID, webhookID string) (d schemas.WebhookDelivery, err error) {
	return d, c.call(ctx, http.MethodPost, "/jobs/"+url.PathEscape(jobID)+"/deliveries/"+url.PathEscape(webhookID)+"/redeliver", of(tenant), nil, &d)
}
