package erasure

import (
	"context"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Log reports how far topics and the groups that store them have come.
type Log interface {
	// EndOffsets is the snapshot that holds every record that readers can see by now.
	EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Handled is, per partition, the first position that a group has not handled.
	Handled(ctx context.Context, group string, topic schemas.Topic) (schemas.Snapshot, error)
	// Present returns the positions below a snapshot whose records Kafka still has.
	Present(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
}

// History is what became of exports and erasures; *ledger.Ledger is one.
type History interface {
	Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error)
	SaveErasure(ctx context.Context, e schemas.Erasure) error
	// ErasuresSince returns the erasures that were done at or past t.
	ErasuresSince(ctx context.Context, t time.Time) ([]schemas.Erasure, error)
	// WaitingErasures returns the summaries of the erasures that it shows as accepted or held.
	WaitingErasures(ctx context.Context) ([]schemas.Erasure, error)
	// ExportsHoldingRows calls each with every export of a tenant that has artifacts, or is
	// about to have some.
	ExportsHoldingRows(ctx context.Context, tenantID string, each func(schemas.Export) error) error
	// Unfolded calls each with at most limit exports of a tenant that it shows without their last
	// events.
	Unfolded(ctx context.Context, tenantID string, limit int, each func(tenantID, exportID string) error) error
	// ExportsWithParts calls each with some exports of a tenant, with their parts.
	ExportsWithParts(ctx context.Context, tenantID string, exportIDs []string, each func(schemas.Export) error) error
	// Downloads returns who downloaded files of some exports, by export id.
	Downloads(ctx context.Context, tenantID string, exportIDs []string) (map[string][]schemas.Download, error)
}

// Decisions is what is decided once about erasures, and outlives ClickHouse; pipeline.Erasures
// are.
type Decisions interface {
	Accepted(ctx context.Context, key pipeline.ErasureKey) (schemas.Erasure, bool, error)
	// Accept, Find and End record where an erasure stands, and return what was recorded first.
	Accept(ctx context.Context, e schemas.Erasure) (schemas.Erasure, error)
	Found(ctx context.Context, key pipeline.ErasureKey) (schemas.Erasure, bool, error)
	Find(ctx context.Context, e schemas.Erasure) (schemas.Erasure, error)
	Ended(ctx context.Context, key pipeline.ErasureKey) (schemas.Erasure, bool, error)
	End(ctx context.Context, e schemas.Erasure) (schemas.Erasure, error)
	// Opened lists what Open opened and Close did not close; both are safe to repeat.
	Opened(ctx context.Context) ([]pipeline.ErasureKey, error)
	Open(ctx context.Context, key pipeline.ErasureKey) error
	Close(ctx context.Context, key pipeline.ErasureKey) error
}

// Rows are the interactions and contacts, and their account; *warehouse.Warehouse has them.
type Rows interface {
	// ErasableBodies calls each with every version with attachments Erase would remove.
	ErasableBodies(ctx context.Context, e schemas.Erasure, each func(body string) error) error
	// Erase returns once no row is left. It is safe to repeat.
	Erase(ctx context.Context, e schemas.Erasure) error
	// CameBack returns which of some erasures have rows that are stored again.
	CameBack(ctx context.Context, erasures []schemas.Erasure) ([]schemas.Erasure, error)
	// EraseAgain removes rows that were stored after Erase, and returns how many.
	EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error)
	// ErasedSubjects calls each with what Erase found the erasure to be about, some at a time.
	ErasedSubjects(ctx context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error
	ErasedRows(ctx context.Context, e schemas.Erasure) (int64, error)
	// HasTenant reports whether anything was ever stored for a tenant.
	HasTenant(ctx context.Context, tenantID string) (bool, error)
	// Missing is how many of these positions of a topic are not accounted for.
	Missing(ctx context.Context, topic schemas.Topic, runs []schemas.Run) (int64, error)
	// Impact reads what Erase would remove.
	Impact(ctx context.Context, e schemas.Erasure) (warehouse.Impact, error)
	// Similar returns, for subjects of which nothing is stored, ids that differ by letter
	// case or blanks only.
	Similar(ctx context.Context, tenantID string, subjects []schemas.Subject) (map[schemas.Subject][]string, error)
}

// Publisher publishes events and returns once they are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Holds knows what may not be removed; *definitions.Definitions does.
type Holds interface {
	// Held returns the active holds of a tenant as of now.
	Held(ctx context.Context, tenantID string) (schemas.Holds, error)
	// Changed is closed when there is a hold more, or one less.
	Changed() <-chan struct{}
}

// Objects is the bucket of attachments; *bucket.Bucket is one.
type Objects interface {
	// Remove of an object that is not there is no error. What a lock of the store keeps is
	// answer.Locked.
	Remove(ctx context.Context, key string) error
}
