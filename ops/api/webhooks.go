package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// WebhookSecret is what a receiver verifies a webhook with.
type WebhookSecret struct {
	Secret string `json:"secret" doc:"whsec_ and base64."`
}

func (a *API) webhooks() {
	tags := []string{"Webhooks"}
	conflicts := []int{400, 401, 403, 404, 409, 422, 429}
	register(a, huma.Operation{
		OperationID: "webhook-secret", Method: http.MethodGet, Path: "/jobs/{id}/webhook-secret", Tags: tags, Summary: "Show the secret a job's webhook is signed with",
		Description: "For libraries of Standard Webhooks (standardwebhooks.com). That it was shown is recorded.", Errors: conflicts,
	}, func(ctx context.Context, in *JobPath) (*answer[WebhookSecret], error) {
		secret, err := on(ctx, a, in.Scope, func(h *admin.Handle) (string, error) { return h.WebhookSecret(ctx, in.ID) })
		return give(WebhookSecret{secret}, err)
	})
	register(a, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: "/deliveries", Tags: tags, Summary: "List attempts to deliver to webhooks",
		Description: "Requests for a test or a redelivery stand among them, with outcome requested and attempt 0.",
	}, func(ctx context.Context, in *struct {
		Scope
		Paging
		Job     string   `query:"job" maxLength:"128"`
		Export  string   `query:"export" maxLength:"128"`
		Webhook string   `query:"webhook" maxLength:"128" doc:"A webhook_id: only attempts to deliver that event."`
		Outcome []string `query:"outcome" maxItems:"4" doc:"requested, delivered, retrying, given_up; comma separated."`
	}) (*answer[Listing[schemas.WebhookDelivery]], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (out Listing[schemas.WebhookDelivery], err error) {
			page, err := in.page("time")
			if err != nil {
				return out, err
			}
			rows, err := h.Deliveries(ctx, ledger.DeliveryFilter{JobID: in.Job, ExportID: in.Export, WebhookID: in.Webhook, Outcomes: in.Outcome}, page)
			if err != nil {
				return out, err
			}
			return listed(in.Paging, "time", rows, same)
		}))
	})
	register(a, huma.Operation{
		OperationID: "test-webhook", Method: http.MethodPost, Path: "/jobs/{id}/webhook-test", Tags: tags, Summary: "Test a job's webhook", DefaultStatus: http.StatusAccepted, Errors: conflicts,
		Description: "Sends one signed message of type webhook.test. It is attempted once. List the deliveries of its webhook_id to see what came of it.",
	}, func(ctx context.Context, in *JobPath) (*answer[schemas.WebhookDelivery], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.WebhookDelivery, error) { return h.TestWebhook(ctx, in.ID) }))
	})
	register(a, huma.Operation{
		OperationID: "redeliver-webhook", Method: http.MethodPost, Path: "/jobs/{id}/deliveries/{webhook}/redeliver", Tags: tags, Summary: "Deliver an event to a job's webhook again", DefaultStatus: http.StatusAccepted, Errors: conflicts,
		Description: "Under the same webhook-id, with the same message, signed with the current secret. Retries of the event stop. While a redelivery waits for its first attempt, requesting another is the same request.",
	}, func(ctx context.Context, in *struct {
		JobPath
		Webhook string `path:"webhook" maxLength:"128" doc:"The webhook_id of the event."`
	}) (*answer[schemas.WebhookDelivery], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.WebhookDelivery, error) {
			return h.Redeliver(ctx, in.ID, in.Webhook)
		}))
	})
}
