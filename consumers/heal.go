package consumers

import (
	"context"
	"log/slog"
	"time"

	"cdds/schemas"
)

const (
	// healEvery is how often a Healer looks for records that ClickHouse has lost.
	healEvery = 15 * time.Second
	// healRetry is the pause after a look that failed, or that found some.
	healRetry = time.Second
	// gapsAtOnce bounds the runs of records that one look reads again.
	gapsAtOnce = 1000
)

// Healer reads records again that a group handled and ClickHouse has lost since, as far as
// Kafka still has them: after a restore of an older backup, a lost volume, a dropped month.
type Healer struct {
	// GroupID is the consumer group, of which Group is a member.
	GroupID string
	Topic   schemas.Topic
	Group   Rereader
	Log     HandledLog
	Ledger  Ledger
	// Restore accounts again for what was written off, where the ledger forgot. May be nil.
	Restore func(ctx context.Context) error
	Logger  *slog.Logger
}

// Rereader is a Group, whatever its events are.
type Rereader interface {
	Reread(ctx context.Context, runs []schemas.Run) (handled int, err error)
}

// HandledLog knows how far a group is, and what Kafka has.
type HandledLog interface {
	// Handled is, per partition, the first position that a group has not handled or
	// dead-lettered.
	Handled(ctx context.Context, group string, topic schemas.Topic) (schemas.Snapshot, error)
	// Present returns the positions below a snapshot whose records Kafka still has.
	Present(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
}

// Ledger knows which positions are not accounted for.
type Ledger interface {
	// Gaps are runs of them, at most limit, and whether there are more.
	Gaps(ctx context.Context, topic schemas.Topic, used []schemas.Run, limit int) (gaps []schemas.Run, more bool, err error)
}

// Run looks for lost records until ctx ends; it then returns nil.
func (h Healer) Run(ctx context.Context) error {
	for {
		pause := healEvery
		missing, handled, err := h.heal(ctx)
		if missing || err != nil {
			pause = healRetry
		}
		switch {
		case err != nil && ctx.Err() == nil:
			h.Logger.Warn("cannot look for records that ClickHouse has lost; retrying", "error", err)
		case handled > 0:
			h.Logger.Warn("ClickHouse had lost records; they were read from Kafka again", "records", handled)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// heal reads again what is missing below the committed positions and Kafka still has, and
// returns whether there was any.
func (h Healer) heal(ctx context.Context) (missing bool, handled int, err error) {
	if h.Restore != nil {
		if err := h.Restore(ctx); err != nil {
			return false, 0, err
		}
	}
	// Positions first: what is committed then is stored by the time it is looked for.
	done, err := h.Log.Handled(ctx, h.GroupID, h.Topic)
	if err != nil {
		return false, 0, err
	}
	present, err := h.Log.Present(ctx, h.Topic, done)
	if err != nil {
		return false, 0, err
	}
	gaps, _, err := h.Ledger.Gaps(ctx, h.Topic, present, gapsAtOnce)
	if err != nil || len(gaps) == 0 {
		return false, 0, err
	}
	handled, err = h.Group.Reread(ctx, gaps)
	return true, handled, err
}
