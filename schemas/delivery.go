package schemas

import (
	"cmp"
	"fmt"
)

// What came of an attempt to deliver to a webhook. Requested is no attempt yet: somebody
// requested a test or a redelivery.
const (
	DeliveryRequested = "requested"
	DeliveryDone      = "delivered"
	DeliveryRetrying  = "retrying"
	DeliveryGivenUp   = "given_up"
)

// DeliveryOutcomes lists what can come of an attempt.
func DeliveryOutcomes() []string {
	return []string{DeliveryRequested, DeliveryDone, DeliveryRetrying, DeliveryGivenUp}
}

// WebhookTest is the event of a delivery that tests a webhook. It is about no export and is
// attempted once.
const WebhookTest = "webhook.test"

// WebhookDelivery is one attempt to deliver to a job's webhook, or the request for one, on
// cdds.webhook.deliveries. It holds neither the secret nor the answer's body.
type WebhookDelivery struct {
	TenantID string `json:"tenant_id"`
	JobID    string `json:"job_id"`
	// ExportID is empty for a test only.
	ExportID string `json:"export_id,omitempty"`
	// WebhookID is the webhook-id header: the same for all attempts to deliver one event.
	WebhookID string `json:"webhook_id"`
	// Event is the kind of event, such as export.completed.
	Event string `json:"event"`
	URL   string `json:"url"`
	// Redelivery is 0 for the attempts that the end of a run causes, and counts from 1 the
	// times that somebody requested to deliver the event again.
	Redelivery int `json:"redelivery,omitempty"`
	// RequestedBy is who requested the test or the redelivery.
	RequestedBy string `json:"requested_by,omitempty"`
	// Fact is what the message says. Attempts of an earlier release have none.
	Fact *WebhookFact `json:"fact,omitempty"`
	// Attempt counts from 1, within a redelivery too; 0 with requested.
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

// WebhookFact is what a webhook's message says beside its ids. The message is made from it,
// so a redelivery sends the same bytes.
type WebhookFact struct {
	// Time is when it happened.
	Time Time `json:"time"`
	// State is the state that the export ended in; empty for a test.
	State State `json:"state,omitempty"`
	// Totals and ExpiresAt come with completed.
	Totals    *Totals `json:"totals,omitempty"`
	ExpiresAt Time    `json:"expires_at,omitzero"`
	// Stage and Retryable come with failed.
	Stage     string `json:"stage,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
}

// Topic is cdds.webhook.deliveries.
func (d *WebhookDelivery) Topic() Topic { return TopicWebhookDeliveries }

// Key is the export id; the job id for a test.
func (d *WebhookDelivery) Key() string { return cmp.Or(d.ExportID, d.JobID) }

// Type is the CloudEvents type.
func (d *WebhookDelivery) Type() string { return "cdds.webhook.delivery.v1" }

// ID is the webhook id with the redelivery, the attempt and its time.
func (d *WebhookDelivery) ID() string {
	return fmt.Sprintf("%s/%s/%d/%d/%s", d.TenantID, d.WebhookID, d.Redelivery, d.Attempt, d.Time)
}

// At is when the attempt was made or requested.
func (d *WebhookDelivery) At() Time { return d.Time }

// Validate reports every broken rule as one *InvalidError.
func (d *WebhookDelivery) Validate() error {
	var p problems
	p.tenant(d.TenantID)
	p.jobID(d.JobID)
	if d.Event != WebhookTest {
		p.exportID(d.ExportID)
	}
	p.id("webhook_id", d.WebhookID, true)
	p.id("event", d.Event, true)
	p.short("url", d.URL)
	p.short("reason", d.Reason)
	p.instant("time", d.Time, true)
	p.instant("next_at", d.NextAt, false)
	p.short("requested_by", d.RequestedBy)
	p.oneOf("outcome", d.Outcome, DeliveryOutcomes(), true)
	requested := d.Outcome == DeliveryRequested
	if requested != (d.Attempt == 0) || d.Attempt < 0 {
		p.add("attempt", "%d must be at least 1, and 0 only with outcome requested", d.Attempt)
	}
	if d.Redelivery < 0 || requested && d.Redelivery == 0 && d.Event != WebhookTest {
		p.add("redelivery", "%d must count what was requested from 1", d.Redelivery)
	}
	switch {
	case d.Fact != nil:
		p.instant("fact.time", d.Fact.Time, true)
		p.instant("fact.expires_at", d.Fact.ExpiresAt, false)
		p.short("fact.stage", d.Fact.Stage)
		if d.Event != WebhookTest && !d.Fact.State.Ended() {
			p.add("fact.state", "%q is not a state that an export ends in", shorten(string(d.Fact.State)))
		}
	case requested:
		p.add("fact", "is missing; a request says what to deliver")
	}
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
