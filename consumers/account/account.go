// Package account draws up what became of every record of the source topics, and writes
// off those that are lost for good.
package account

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Log knows how far topics have come, in positions, and what Kafka has of them;
// *connect.Offsets does.
type Log interface {
	// Lineage is the incarnations of a topic as it is now.
	Lineage(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error)
	// Ingested is, per partition, the first position not yet stored or dead-lettered.
	Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Used returns the positions below a snapshot that records had.
	Used(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
	// Gone returns what of runs Kafka does not have any more.
	Gone(ctx context.Context, topic schemas.Topic, runs []schemas.Run) ([]schemas.Run, error)
}

// Store knows what is accounted for; *warehouse.Warehouse does.
type Store interface {
	Account(ctx context.Context, topic schemas.Topic, used []schemas.Run) ([]warehouse.PartitionAccount, error)
	Gaps(ctx context.Context, topic schemas.Topic, used []schemas.Run, limit int) (gaps []schemas.Run, more bool, err error)
	// WriteOff accounts for positions that are written off. Doing it again changes nothing.
	WriteOff(ctx context.Context, topic schemas.Topic, runs []schemas.Run) error
}

// Decisions keep write-offs; pipeline.WriteOffs does.
type Decisions interface {
	All(ctx context.Context, topic schemas.Topic, known []schemas.WriteOff) ([]schemas.WriteOff, error)
	Record(ctx context.Context, w schemas.WriteOff) (schemas.WriteOff, error)
}

// Publisher puts write-offs on record. It returns once events are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Book is the account of the source topics. All fields are required, but for Publisher
// where nothing is written off.
type Book struct {
	Log       Log
	Store     Store
	Decisions Decisions
	Publisher Publisher
}

// Draw draws up the account of a source topic.
func (b Book) Draw(ctx context.Context, topic schemas.Topic) (a warehouse.TopicAccount, err error) {
	a.Topic = topic
	if a.Incarnations, err = b.Log.Lineage(ctx, topic); err != nil {
		return a, err
	}
	if a.WriteOffs, err = b.Decisions.All(ctx, topic, nil); err != nil {
		return a, err
	}
	used, err := b.used(ctx, topic)
	if err != nil {
		return a, err
	}
	if a.Partitions, err = b.Store.Account(ctx, topic, used); err != nil || a.Missing() == 0 {
		return a, err
	}
	a.Gone, err = b.gone(ctx, topic, used)
	return a, err
}

// used are the positions that ingest has passed.
func (b Book) used(ctx context.Context, topic schemas.Topic) ([]schemas.Run, error) {
	// Positions first: what is committed then is stored by the time it is looked for.
	done, err := b.Log.Ingested(ctx, topic)
	if err != nil {
		return nil, err
	}
	return b.Log.Used(ctx, topic, done)
}

func (b Book) gone(ctx context.Context, topic schemas.Topic, used []schemas.Run) ([]schemas.Run, error) {
	gaps, _, err := b.Store.Gaps(ctx, topic, used, schemas.MaxWriteOffRuns)
	if err != nil {
		return nil, err
	}
	return b.Log.Gone(ctx, topic, gaps)
}

// WriteOff writes off what is gone of a topic: all of it, or what lies within runs. It is
// recorded in the bucket and in the audit trail before exports stop waiting for it.
func (b Book) WriteOff(ctx context.Context, topic schemas.Topic, within []schemas.Run, reason, by, from string, now time.Time) (schemas.WriteOff, error) {
	if strings.TrimSpace(reason) == "" {
		return schemas.WriteOff{}, schemas.ErrNoReason
	}
	used, err := b.used(ctx, topic)
	if err != nil {
		return schemas.WriteOff{}, err
	}
	gone, err := b.gone(ctx, topic, used)
	if err != nil {
		return schemas.WriteOff{}, err
	}
	if within != nil {
		gone = schemas.Overlap(gone, within)
	}
	if len(gone) == 0 {
		return schemas.WriteOff{}, schemas.ErrNothingGone
	}
	w, err := b.Decisions.Record(ctx, schemas.WriteOff{Topic: topic, Runs: gone, Reason: reason, By: by, At: schemas.TimeOf(now)})
	if err != nil {
		return w, err
	}
	err = b.Publisher.Publish(ctx, &schemas.AuditRecord{
		AuditID: fmt.Sprintf("write-off/%s/%d", topic, w.Number), Time: w.At, TenantID: schemas.AllTenants, Actor: by, From: from,
		Action: schemas.ActionWriteOff, Subject: string(topic), Outcome: schemas.OutcomeDone,
		Detail: fmt.Sprintf("%s, %s: %s", schemas.Counted(w.Records(), "record"), schemas.Places(w.Runs), reason),
	})
	if err != nil {
		return w, err
	}
	return w, b.Store.WriteOff(ctx, topic, gone)
}

// Restore accounts again for positions that were written off and that the store knows
// nothing of, because it is new or was restored from an older backup.
func (b Book) Restore(ctx context.Context, topic schemas.Topic) error {
	all, err := b.Decisions.All(ctx, topic, nil)
	if err != nil || len(all) == 0 {
		return err
	}
	used, err := b.used(ctx, topic)
	if err != nil {
		return err
	}
	gaps, _, err := b.Store.Gaps(ctx, topic, used, schemas.MaxWriteOffRuns)
	if err != nil {
		return err
	}
	for _, w := range all {
		if lost := schemas.Overlap(gaps, w.Runs); len(lost) > 0 {
			if err := b.Store.WriteOff(ctx, topic, lost); err != nil {
				return err
			}
		}
	}
	return nil
}
