package consumers

import (
	"context"
	"fmt"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Requests reads the topic of export requests back. It is in no group and commits
// nothing.
type Requests struct {
	// Kafka says how to reach the brokers.
	Kafka []kgo.Opt
	// Positions say where in the topic a position is. Nil: positions are offsets.
	Positions Positions
}

// lookBackTimeout bounds one look back. A partition holds requests of as long as its
// retention, thousands of which are read in a second.
const lookBackTimeout = 2 * time.Minute

// Earlier returns the last message of a partition before a position that asks for this
// export, nil if the topic has none (any more). A message at that position is known to be there.
func (q Requests) Earlier(ctx context.Context, partition int32, position int64, tenantID, exportID string) (*schemas.ExportRequest, error) {
	ctx, cancel := context.WithTimeout(ctx, lookBackTimeout)
	defer cancel()
	const topic = string(schemas.TopicExportRequests)
	end := position
	if q.Positions != nil {
		l, err := q.Positions.Settle(ctx, schemas.TopicExportRequests)
		if err != nil {
			return nil, err
		}
		offset, there := l.Offset(partition, position)
		if !there { // the topic was replaced since
			return nil, nil
		}
		end = offset
	}
	client, err := kgo.NewClient(append(append([]kgo.Opt{kgo.FetchMaxWait(fetchMaxWait)}, q.Kafka...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes))...)
	if err != nil {
		return nil, fmt.Errorf("consumers: Kafka client: %w", err)
	}
	defer client.Close()
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("first offsets of topic %s: %w", topic, err)
	}
	if start, ok := starts.Lookup(topic, partition); ok && start.Offset >= end {
		return nil, nil // retention was here
	}
	var found *schemas.ExportRequest
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read topic %s back: %w", topic, err)
		}
		for _, r := range fetches.Records() {
			if r.Offset >= end {
				return found, nil
			}
			asked, err := schemas.DecodeExportRequest(r.Value)
			if err == nil && !asked.Controls() && asked.TenantID == tenantID && asked.ExportID == exportID {
				found = asked
			}
		}
	}
}
