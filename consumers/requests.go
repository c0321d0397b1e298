package consumers

import (
	"context"
	"fmt"
	"time"

	"cdds/schemas"
)

// Requests reads the topic of export requests back. It is in no group and commits
// nothing.
type Requests struct {
	Cluster Cluster
	Brokers Brokers
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
	end := position
	var l schemas.Lineage
	if q.Positions != nil {
		var err error
		if l, err = q.Positions.Settle(ctx, schemas.TopicExportRequests); err != nil {
			return nil, err
		}
		offset, there := l.Offset(partition, position)
		if !there { // the topic was replaced since
			return nil, nil
		}
		end = offset
	}
	starts, err := q.Brokers.Starts(ctx, schemas.TopicExportRequests)
	if err != nil || int(partition) >= len(starts) {
		return nil, err
	}
	log, err := q.Cluster.Follow(schemas.TopicExportRequests, partition, starts[partition])
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var found *schemas.ExportRequest
	for next := starts[partition]; next < end; {
		records, err := fetchBelow(ctx, log, l, end)
		if err != nil {
			return nil, fmt.Errorf("read topic %s back: %w", schemas.TopicExportRequests, err)
		}
		for _, r := range records {
			if next = r.next; r.nothing || r.tooLarge || r.Attrs.IsControl() {
				continue
			}
			asked, err := schemas.DecodeExportRequest(r.Value)
			if err == nil && !asked.Controls() && asked.TenantID == tenantID && asked.ExportID == exportID {
				found = asked
			}
		}
	}
	return found, nil
}
