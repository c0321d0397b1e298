package warehouse

import (
	"context"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Incarnations returns the copies of a topic's incarnations, by number.
func (w *Warehouse) Incarnations(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error) {
	all, err := tables.Decoded[schemas.Incarnation](ctx, w.db, "read incarnations of "+string(topic),
		"SELECT body FROM incarnations FINAL WHERE topic = {topic:String} ORDER BY number", tables.Named("topic", string(topic)))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b schemas.Incarnation) int { return a.Number - b.Number })
	return all, nil
}

// KeepIncarnations keeps copies of incarnations. Keeping one again changes nothing.
func (w *Warehouse) KeepIncarnations(ctx context.Context, all schemas.Lineage) error {
	return w.db.Insert(ctx, "incarnations", "topic, number, body", func(block driver.Batch) error {
		for _, i := range all {
			body, err := schemas.Encode(i)
			if err != nil {
				return err
			}
			if err := block.Append(string(i.Topic), uint32(i.Number), string(body)); err != nil {
				return err
			}
		}
		return nil
	})
}
