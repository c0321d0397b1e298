package webhooks

import (
	"context"
	"fmt"

	"cdds/schemas"
)

// Requests delivers what people request: tests, and events again. It is a
// consumers.Handler of cdds.webhook.deliveries, where requests stand among attempts.
type Requests struct{ *Handler }

// Handle delivers each request as Handler delivers an event. Two requests of one number,
// which two people or two replicas made at the same moment, are one delivery.
func (r Requests) Handle(ctx context.Context, b schemas.Batch[*schemas.WebhookDelivery]) error {
	for _, record := range b.Records {
		if d := record.Event; d.Outcome == schemas.DeliveryRequested {
			if err := r.deliver(ctx, *d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Requests) deliver(ctx context.Context, d schemas.WebhookDelivery) error {
	one := fmt.Sprintf("%s/%s/%d", d.TenantID, d.WebhookID, d.Redelivery)
	// Requests of one event are in one partition, and no position moves past a request that
	// is at work: what is left out here is read again if the other one does not end.
	if _, atWork := r.inHand.LoadOrStore(one, true); atWork {
		return nil
	}
	defer r.inHand.Delete(one)
	requested := d.Time
	d.URL, d.NextAt = "", schemas.Time{}
	return r.tell(ctx, d, requested)
}
