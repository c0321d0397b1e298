package erasure

import (
	"context"
	"fmt"
	"time"

	"cdds/schemas"
)

// log is a topic and the group that must have stored it up to a snapshot.
type log struct {
	group string
	topic schemas.Topic
	to    schemas.Snapshot
}

// await waits until a role has stored everything below snapshots, and ClickHouse still has
// it: what comes later would not be found.
func (h *Handler) await(ctx context.Context, e schemas.Erasure, role string, logs ...log) error {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	ticker := time.NewTicker(waitPoll)
	defer ticker.Stop()
	told := false
	for {
		var behind int64
		for _, l := range logs {
			n, err := h.behind(ctx, l)
			if err != nil {
				return err
			}
			behind += n
		}
		if behind == 0 {
			return nil
		}
		if !told {
			told = true
			e.Waiting = fmt.Sprintf("waiting for %s: %s behind", role, schemas.Counted(behind, "record"))
			if err := h.History.SaveErasure(ctx, e); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is %s behind; check the %s role: %w", role, schemas.Counted(behind, "record"), role, ctx.Err())
		}
	}
}

// behind is how many records are not stored: not read yet, or lost since, and still in
// Kafka, so that they come.
func (h *Handler) behind(ctx context.Context, l log) (int64, error) {
	done, err := h.Log.Handled(ctx, l.group, l.topic)
	if err != nil {
		return 0, err
	}
	if n := l.to.Behind(done); n > 0 {
		return n, nil
	}
	present, err := h.Log.Present(ctx, l.topic, l.to)
	if err != nil {
		return 0, err
	}
	return h.Rows.Missing(ctx, l.topic, present)
}
