package history

import (
	"context"
	"fmt"

	"cdds/schemas"
)

// DeliveryStore keeps attempts to tell webhooks. InsertDeliveries stores the whole batch
// or returns an error, and storing one again changes nothing.
type DeliveryStore interface {
	InsertDeliveries(ctx context.Context, b schemas.Batch[*schemas.WebhookDelivery]) error
}

// Deliveries stores attempts to tell webhooks; it is a consumers.Handler of
// cdds.webhook.deliveries.
type Deliveries struct{ Store DeliveryStore }

// Handle stores the batch. Its errors are the store's.
func (d Deliveries) Handle(ctx context.Context, b schemas.Batch[*schemas.WebhookDelivery]) error {
	if err := d.Store.InsertDeliveries(ctx, b); err != nil {
		return fmt.Errorf("keep %d webhook deliveries: %w", len(b.Records), err)
	}
	return nil
}
