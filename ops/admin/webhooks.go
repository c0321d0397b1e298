package admin

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// webhook is a job that has a webhook, and the secret that signs its messages.
func (h *Handle) webhook(ctx context.Context, jobID string) (j schemas.Job, secret string, err error) {
	if j, err = h.job(ctx, jobID); err != nil {
		return j, "", err
	}
	if j.Webhook == nil {
		return j, "", &ConflictError{"job " + jobID + " has no webhook"}
	}
	if secret, err = h.Service.WebhookSecret(j); err != nil {
		return j, "", &ConflictError{err.Error()}
	}
	return j, secret, nil
}

// WebhookSecret is what a receiver verifies the job's webhook with, as libraries of
// Standard Webhooks take it. That it was shown is recorded.
func (h *Handle) WebhookSecret(ctx context.Context, id string) (string, error) {
	if err := h.changes(ctx, auth.Change, "job.read_secret", subjectOf(id)); err != nil {
		return "", err
	}
	j, secret, err := h.webhook(ctx, id)
	if err != nil {
		return "", err
	}
	return secret, h.change(ctx, "job.read_secret", id, fmt.Sprintf("version %d was shown", j.Webhook.SecretVersion))
}

// Deliveries lists a page of attempts to deliver to webhooks, and of requests for them.
func (h *Handle) Deliveries(ctx context.Context, f ledger.DeliveryFilter, p ledger.Page) (ledger.Listed[schemas.WebhookDelivery], error) {
	if err := h.reads(auth.Read); err != nil {
		return ledger.Listed[schemas.WebhookDelivery]{}, err
	}
	f.TenantID = h.tenant
	return h.History.ListDeliveries(ctx, f, p)
}

// TestWebhook requests a message that only tests a job's webhook. It is attempted once;
// Deliveries with its WebhookID say what came of it.
func (h *Handle) TestWebhook(ctx context.Context, jobID string) (schemas.WebhookDelivery, error) {
	const action = "webhook.test"
	var d schemas.WebhookDelivery
	if err := h.changes(ctx, auth.Change, action, subjectOf(jobID)); err != nil {
		return d, err
	}
	if _, _, err := h.webhook(ctx, jobID); err != nil {
		return d, err
	}
	d = schemas.WebhookDelivery{
		TenantID: h.tenant, JobID: jobID, WebhookID: "evt_" + ulid.Make().String(), Event: schemas.WebhookTest,
		Fact: &schemas.WebhookFact{Time: schemas.TimeOf(h.Now())},
	}
	return h.deliver(ctx, action, "", d)
}

// Redeliver requests that an event is delivered again, under its webhook-id: one that was
// given up, or that the receiver lost. Retries of it end. While a redelivery waits for its
// first attempt, requesting another is the same request.
func (h *Handle) Redeliver(ctx context.Context, jobID, webhookID string) (schemas.WebhookDelivery, error) {
	const action = "webhook.redeliver"
	var d schemas.WebhookDelivery
	if err := h.changes(ctx, auth.Change, action, subjectOf(jobID)); err != nil {
		return d, err
	}
	if _, _, err := h.webhook(ctx, jobID); err != nil {
		return d, err
	}
	made, err := h.History.ListDeliveries(ctx, ledger.DeliveryFilter{TenantID: h.tenant, JobID: jobID, WebhookID: webhookID}, ledger.Page{Sort: "time", Limit: ledger.MaxPage})
	if err != nil {
		return d, err
	}
	if len(made.Rows) == 0 {
		return d, ErrNotFound
	}
	attempted := false
	for n, of := range made.Rows {
		if n == 0 || of.Redelivery > d.Redelivery {
			d, attempted = of, false
		}
		attempted = attempted || of.Redelivery == d.Redelivery && of.Attempt > 0
	}
	switch {
	case d.Event == schemas.WebhookTest:
		return d, h.refuse(ctx, action, jobID, &ConflictError{"a test is not delivered again; test the webhook once more"})
	case d.Fact == nil:
		return d, h.refuse(ctx, action, jobID, &ConflictError{"the event was delivered by an earlier release, which did not keep the message; read the export instead"})
	case !attempted:
		return d, nil
	}
	d.Redelivery++
	return h.deliver(ctx, action, fmt.Sprintf("%s of export %s, redelivery %d", d.Event, d.ExportID, d.Redelivery), d)
}

// deliver requests a delivery, of which every replica and worker knows from the topic.
func (h *Handle) deliver(ctx context.Context, action, detail string, d schemas.WebhookDelivery) (schemas.WebhookDelivery, error) {
	if _, err := h.sends.Take(h.tenant, h.Now()); err != nil {
		return d, h.refuse(ctx, action, d.JobID, err)
	}
	d.Outcome, d.Attempt, d.Time, d.RequestedBy = schemas.DeliveryRequested, 0, schemas.TimeOf(h.Now()), h.who.Name
	d.URL, d.StatusCode, d.Milliseconds, d.Reason, d.NextAt = "", 0, 0, "", schemas.Time{}
	return d, h.change(ctx, action, d.JobID, detail, &d)
}
