package schemas

import "fmt"

// What came of one attempt to tell a webhook.
const (
	DeliveryDone     = "delivered"
	DeliveryRetrying = "retrying"
	DeliveryGivenUp  = "given_up"
)

// DeliveryOutcomes lists what can come of an attempt.
func DeliveryOutcomes() []string { return []string{DeliveryDone, DeliveryRetrying, DeliveryGivenUp} }

// WebhookDelivery is one attempt to tell a job's webhook that a run has ended, on
// cdds.webhook.deliveries. It holds neither the secret nor the answer's body.
type WebhookDelivery struct {
	TenantID string `json:"tenant_id"`
	JobID    string `json:"job_id"`
	ExportID string `json:"export_id"`
	// WebhookID is the webhook-id header: the same for all attempts to tell one fact.
	WebhookID string `json:"webhook_id"`
	// Event is the kind of event, such as export.completed.
	Event string `json:"event"`
	URL   string `json:"url"`
	// Attempt counts from 1.
	Attempt int  `json:"attempt"`
	Time    Time `json:"time"`
	// StatusCode is the HTTP status of the answer, 0 if there was none.
	StatusCode int `json:"status_code"`
	// Milliseconds is how long the answer took.
	Milliseconds int64 `json:"milliseconds"`
	// Outcome is delivered, retrying or given_up.
	Outcome string `json:"outcome"`
	// Reason says why it was not delivered.
	Reason string `json:"reason,omitempty"`
	// NextAt is when the next attempt is made; with retrying.
	NextAt Time `json:"next_at,omitzero"`
}

// Topic is cdds.webhook.deliveries.
func (d *WebhookDelivery) Topic() Topic { return TopicWebhookDeliveries }

// Key is the export id.
func (d *WebhookDelivery) Key() string { return d.ExportID }

// Type is the CloudEvents type.
func (d *WebhookDelivery) Type() string { return "cdds.webhook.delivery.v1" }

// ID is the webhook id with the attempt and its time.
func (d *WebhookDelivery) ID() string {
	return fmt.Sprintf("%s/%s/%d/%s", d.TenantID, d.WebhookID, d.Attempt, d.Time)
}

// At is when the attempt was made.
func (d *WebhookDelivery) At() Time { return d.Time }

// Validate reports every broken rule as one *InvalidError.
func (d *WebhookDelivery) Validate() error {
	var p problems
	p.tenant(d.TenantID)
	p.jobID(d.JobID)
	p.exportID(d.ExportID)
	p.id("webhook_id", d.WebhookID, true)
	p.id("event", d.Event, true)
	p.short("url", d.URL)
	p.short("reason", d.Reason)
	p.instant("time", d.Time, true)
	p.instant("next_at", d.NextAt, false)
	if d.Attempt < 1 {
		p.add("attempt", "%d must be at least 1", d.Attempt)
	}
	p.oneOf("outcome", d.Outcome, DeliveryOutcomes(), true)
	return p.err()
}

// DecodeWebhookDelivery reads and validates the value of a cdds.webhook.deliveries
// message. Every error is a *MalformedError.
func DecodeWebhookDelivery(b []byte) (*WebhookDelivery, error) {
	d := new(WebhookDelivery)
	if err := readEvent(b, d); err != nil {
		return nil, err
	}
	return validated(d)
}
