package warehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/schemas"
)

// Positions accounts for the records of one partition of a source topic: those
// stored and those dead-lettered, each offset counted once.
type Positions struct {
	Partition int32
	// First and Last are the lowest and highest offset seen, inclusive.
	First, Last int64
	Stored      int64
	DeadLetters int64
}

// Missing is how many offsets between First and Last are neither stored nor
// dead-lettered. Compacted and control records would count here; the source topics
// have none.
func (p Positions) Missing() int64 { return p.Last - p.First + 1 - p.Stored - p.DeadLetters }

// Positions returns the account of each partition of a source topic, by number.
func (w *Warehouse) Positions(ctx context.Context, topic schemas.Topic) ([]Positions, error) {
	name := "interactions"
	if topic == schemas.TopicContacts {
		name = "contacts"
	}
	rows, err := w.conn.Query(ctx, fmt.Sprintf(`
SELECT source_partition, min(source_offset), max(source_offset), toInt64(uniqExactIf(source_offset, kind = 0)), toInt64(uniqExactIf(source_offset, kind = 1))
FROM (
  SELECT source_partition, source_offset, 0 AS kind FROM %s
  UNION ALL
  SELECT source_partition, source_offset, 1 AS kind FROM dead_letters WHERE topic = {topic:String})
GROUP BY source_partition ORDER BY source_partition`, name), clickhouse.Named("topic", string(topic)))
	if err != nil {
		return nil, fmt.Errorf("account for %s: %w", topic, err)
	}
	var all []Positions
	for rows.Next() {
		var p Positions
		if err := rows.Scan(&p.Partition, &p.First, &p.Last, &p.Stored, &p.DeadLetters); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		all = append(all, p)
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
