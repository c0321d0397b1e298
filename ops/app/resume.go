package app

import (
	"context"

	"cdds/ops/connect"
	"cdds/schemas"
)

// resume returns where ingest of a topic goes on from: at what it committed, or where
// ClickHouse first lacks something of that, if it was truncated, restored from an old
// backup, or lost a volume. So starting ingest again mends such a loss, as far as
// Kafka goes back.
func (a *App) resume(topic schemas.Topic) func(context.Context, map[int32]int64) (map[int32]int64, error) {
	return func(ctx context.Context, committed map[int32]int64) (map[int32]int64, error) {
		start, err := connect.NewOffsets(a.client).StartOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		to := make(schemas.Snapshot, len(start))
		for p, at := range committed {
			if int(p) < len(to) {
				to[p] = at
			}
		}
		whole, err := a.warehouse.Whole(ctx, topic, start, to)
		if err != nil {
			return nil, err
		}
		for p, at := range committed {
			if int(p) < len(whole) {
				committed[p] = min(at, whole[p])
			}
		}
		return committed, nil
	}
}
