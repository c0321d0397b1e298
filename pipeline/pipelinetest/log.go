package pipelinetest

import (
	"context"

	"cdds/schemas"
)

// Log is a source topic of which everything below End is stored and nothing is missing. It
// tells a worker so.
type Log struct {
	End func() schemas.Snapshot
}

// EndOffsets is the end.
func (l Log) EndOffsets(context.Context, schemas.Topic) (schemas.Snapshot, error) {
	return l.End(), nil
}

// Seal is the end.
func (l Log) Seal(context.Context, schemas.Topic) (schemas.Snapshot, []int32, error) {
	return l.End(), nil, nil
}

// Now is the snapshot.
func (Log) Now(_ context.Context, _ schemas.Topic, s schemas.Snapshot, _ []int32) (schemas.Snapshot, error) {
	return s, nil
}

// Ingested is the end too.
func (l Log) Ingested(context.Context, schemas.Topic) (schemas.Snapshot, error) { return l.End(), nil }

// Used is all of the incarnation that a snapshot ends in; of those before nothing is known.
func (Log) Used(_ context.Context, _ schemas.Topic, to schemas.Snapshot) (all []schemas.Run, _ error) {
	for p, next := range to {
		all = append(all, schemas.Run{Partition: int32(p), First: next &^ schemas.MaxOffset, Next: next})
	}
	return all, nil
}

// Gone is nothing.
func (Log) Gone(context.Context, schemas.Topic, []schemas.Run) ([]schemas.Run, error) {
	return nil, nil
}

// Missing is always 0.
func (Log) Missing(context.Context, schemas.Topic, []schemas.Run) (int64, error) { return 0, nil }

// Gaps are none.
func (Log) Gaps(context.Context, schemas.Topic, []schemas.Run, int) ([]schemas.Run, bool, error) {
	return nil, false, nil
}

// HasTenant knows every tenant.
func (Log) HasTenant(context.Context, string) (bool, error) { return true, nil }
