package warehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cdds/schemas"
)

// Forgetting stores what ingest reads but for what was erased: a record below an
// erasure's snapshot that comes again (a rebalance, a replay from offset 0) is noted
// by its position and dropped. Dropping it here rather than in every read keeps it out
// of ClickHouse altogether, and reads as fast as they are. Nothing is stored before the
// log has been read for who was erased. It is safe for concurrent use.
type Forgetting struct {
	*Warehouse
	log    func(context.Context) ([]*schemas.ErasedSubject, error)
	logger *slog.Logger

	remembered atomic.Bool

	mu       sync.Mutex
	count    uint64
	version  string
	subjects map[subject][]forgotten
}

// subject is whom or what an erasure is about.
type subject struct{ tenant, kind, id string }

// forgotten is one erasure of a subject.
type forgotten struct {
	erasure   string
	snapshots map[schemas.Topic]schemas.Snapshot
}

// erasedRow is the position of a row that was erased.
type erasedRow struct {
	topic           schemas.Topic
	partition       int32
	offset          int64
	tenant, erasure string
	time            time.Time
}

// NewForgetting returns w for ingest. log reads all that was ever erased. What was erased
// is held in memory, some 200 bytes for each contact and interaction, and twice that while
// the log is read.
func NewForgetting(w *Warehouse, log func(context.Context) ([]*schemas.ErasedSubject, error), logger *slog.Logger) *Forgetting {
	return &Forgetting{Warehouse: w, log: log, logger: logger}
}

// Remember reads the log of who was erased, unless it was read already, and removes
// from ClickHouse what it did not know of. Inserts do it too, and fail while it does.
func (f *Forgetting) Remember(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remember(ctx)
}

// Ready is nil once the log of who was erased has been read.
func (f *Forgetting) Ready() error {
	if !f.remembered.Load() {
		return errors.New("who was erased is not known yet")
	}
	return nil
}

func (f *Forgetting) remember(ctx context.Context) error {
	if f.remembered.Load() {
		return nil
	}
	subjects, err := f.log(ctx)
	if err != nil {
		return err
	}
	erasures, err := f.Warehouse.Remember(ctx, subjects)
	if err != nil {
		return fmt.Errorf("erase again what Kafka says was erased: %w", err)
	}
	if erasures > 0 {
		f.logger.Warn("ClickHouse did not know who was erased, and was told", "erasures", erasures)
	}
	f.remembered.Store(true)
	return nil
}

// InsertInteractions is that of Warehouse for those that are not erased.
func (f *Forgetting) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	kept, err := keep(ctx, f, batches, func(e *schemas.Interaction) (string, time.Time, []subject) {
		about := []subject{{e.TenantID, "interaction", e.InteractionID}}
		if e.ContactID != "" {
			about = append(about, subject{e.TenantID, "contact", e.ContactID})
		}
		return e.TenantID, e.StartedAt.Time, about
	})
	if err != nil {
		return err
	}
	return f.Warehouse.InsertInteractions(ctx, kept...)
}

// InsertContacts is that of Warehouse for those that are not erased.
func (f *Forgetting) InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	kept, err := keep(ctx, f, batches, func(e *schemas.Contact) (string, time.Time, []subject) {
		return e.TenantID, e.CreatedAt.Time, []subject{{e.TenantID, "contact", e.ContactID}}
	})
	if err != nil {
		return err
	}
	return f.Warehouse.InsertContacts(ctx, kept...)
}

// keep returns the batches without what is erased, having noted the positions of that.
func keep[E any](ctx context.Context, f *Forgetting, batches []schemas.Batch[E], of func(E) (tenant string, at time.Time, about []subject)) ([]schemas.Batch[E], error) {
	subjects, err := f.erased(ctx)
	if err != nil || len(subjects) == 0 {
		return batches, err
	}
	all := make([]schemas.Batch[E], len(batches))
	var dropped []erasedRow
	for i, b := range batches {
		kept := make([]schemas.Record[E], 0, len(b.Records))
		for _, r := range b.Records {
			tenant, at, about := of(r.Event)
			if erasure := erasureOf(subjects, about, b.Topic, r.Partition, r.Offset); erasure != "" {
				dropped = append(dropped, erasedRow{b.Topic, r.Partition, r.Offset, tenant, erasure, at})
				continue
			}
			kept = append(kept, r)
		}
		all[i], all[i].Records = b, kept
	}
	if len(dropped) == 0 {
		return batches, nil
	}
	return all, f.recordErased(ctx, dropped)
}

// erasureOf is the erasure of what is at a position; empty if there was none.
func erasureOf(subjects map[subject][]forgotten, about []subject, topic schemas.Topic, partition int32, offset int64) (erasure string) {
	for _, s := range about {
		for _, e := range subjects[s] {
			if snapshot := e.snapshots[topic]; int(partition) < len(snapshot) && offset < snapshot[partition] {
				erasure = e.erasure
			}
		}
	}
	return erasure
}

// erased returns what was erased by now, reading it again only if there is more.
func (f *Forgetting) erased(ctx context.Context) (map[subject][]forgotten, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.remember(ctx); err != nil {
		return nil, err
	}
	count, version, err := f.state(ctx)
	if err == nil && count < f.count { // restored, or merged: the log knows
		f.remembered.Store(false)
		if err = f.remember(ctx); err == nil {
			count, version, err = f.state(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look for erasures: %w", err)
	}
	f.count = count
	if version == f.version {
		return f.subjects, nil
	}
	rows, err := f.conn.Query(ctx, "SELECT tenant_id, kind, id, erasure_id, interactions, contacts FROM erased_subjects FINAL")
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	subjects := map[subject][]forgotten{}
	for rows.Next() {
		var s subject
		var erasure string
		var interactions, contacts []int64
		if err := rows.Scan(&s.tenant, &s.kind, &s.id, &erasure, &interactions, &contacts); err != nil {
			return nil, errors.Join(fmt.Errorf("read erasures: %w", err), rows.Close())
		}
		subjects[s] = append(subjects[s], forgotten{erasure, map[schemas.Topic]schemas.Snapshot{
			schemas.TopicInteractions: interactions, schemas.TopicContacts: contacts,
		}})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	f.version, f.subjects = version, subjects // never changed afterwards, only replaced
	return subjects, nil
}

// state tells whether there is more, or less, than there was.
func (f *Forgetting) state(ctx context.Context) (count uint64, version string, err error) {
	err = f.conn.QueryRow(ctx, "SELECT count(), toString(max(recorded_at)) FROM erased_subjects").Scan(&count, &version)
	return count, fmt.Sprint(count, version), err
}
