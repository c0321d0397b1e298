package retention

import (
	"context"
	"fmt"
	"time"

	"cdds/schemas"
)

// Log reports how far the status topic and history have come; *connect.Offsets is one.
type Log interface {
	// EndOffsets is the snapshot that holds every record that readers can see by now.
	EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Handled is, per partition, the first position that a group has not handled.
	Handled(ctx context.Context, group string, topic schemas.Topic) (schemas.Snapshot, error)
	// Present returns the positions below a snapshot whose records Kafka still has.
	Present(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
}

const (
	// historyPoll is the pause between looks at how far history is.
	historyPoll = 250 * time.Millisecond
	// historyTold is how often the log says that a pass waits for history.
	historyTold = 10 * time.Minute
)

// awaitHistory returns once history holds every status event published before the call.
// What history does not know, or knows differently, may be in an event that it has
// still to read; and after ClickHouse was lost or restored that is most of it.
func (k *Keeper) awaitHistory(ctx context.Context) error {
	end, err := k.Log.EndOffsets(ctx, schemas.TopicExportStatus)
	if err != nil {
		return err
	}
	told := time.Now()
	for {
		behind, err := k.behind(ctx, end)
		if err != nil {
			return fmt.Errorf("look how far history is: %w", err)
		}
		k.historyBehind.Set(float64(behind))
		if behind == 0 {
			return nil
		}
		if time.Since(told) >= historyTold {
			k.Logger.Warn("nothing is removed until history holds what Kafka has; if this number does not fall, check the history role", "events", behind)
			told = time.Now()
		}
		select {
		case <-time.After(historyPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// behind is how many status events below end history does not hold: not read yet, or read
// and lost since.
func (k *Keeper) behind(ctx context.Context, end schemas.Snapshot) (int64, error) {
	done, err := k.Log.Handled(ctx, schemas.GroupHistory, schemas.TopicExportStatus)
	if err != nil {
		return 0, err
	}
	if n := end.Behind(done); n > 0 {
		return n, nil
	}
	present, err := k.Log.Present(ctx, schemas.TopicExportStatus, end)
	if err != nil {
		return 0, err
	}
	return k.Account.Missing(ctx, schemas.TopicExportStatus, present)
}
