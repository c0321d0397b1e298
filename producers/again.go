package producers

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// PublishAgain publishes a record that was a dead letter to a partition of its topic, as it
// was, and returns the offset it has there. Its headers are those of the letter that are to
// stay. It has a client of its own, with the options in kafka: the Publisher's chooses
// partitions by keys.
func (p *Publisher) PublishAgain(ctx context.Context, kafka []kgo.Opt, l schemas.DeadLetter) (offset int64, err error) {
	client, err := kgo.NewClient(append(kafka[:len(kafka):len(kafka)],
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytesFn(maxBatch), kgo.RecordDeliveryTimeout(deliveryTimeout))...)
	if err != nil {
		return 0, fmt.Errorf("publisher: %w", err)
	}
	defer client.Close()
	r := &kgo.Record{Topic: string(l.Topic), Partition: l.Partition, Key: l.Key, Value: l.Value}
	for _, h := range l.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	published, err := client.ProduceSync(ctx, r).First()
	if err := p.outcome(r, err); err != nil {
		return 0, err
	}
	return published.Offset, nil
}
