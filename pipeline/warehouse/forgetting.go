package warehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"cdds/schemas"
)

// Forgetting stores what ingest reads but for what was erased: a record below an
// erasure's snapshot that comes again (a rebalance, a replay from offset 0) is noted
// by its position and dropped. Dropping it here rather than in every read keeps it out
// of ClickHouse altogether, and reads as fast as they are. Nothing is stored before the
// log has been read for who was erased. It is safe for concurrent use.
//
// Memory does not grow with what was erased: a Bloom filter of a fixed size says of nearly
// all records that they are about nobody who was erased, and the rest are looked up.
type Forgetting struct {
	tables ErasedTables
	log    ErasedLog
	record ErasureRecord
	logger *slog.Logger

	remembered atomic.Bool

	// turn is held by who reads what was erased, and guards the rest. Who waits for it can give up.
	turn   chan struct{}
	state  ErasedState
	erased *bloom.BloomFilter // replaced when it is read anew, and only ever added to
}

// ErasedTables are the tables as Forgetting needs them; *Warehouse has them.
type ErasedTables interface {
	InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error
	InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error
	// ErasedState says how much is recorded as erased.
	ErasedState(ctx context.Context) (ErasedState, error)
	// EachErased calls each with whom and what is recorded as erased, at or past since by
	// ClickHouse's clock, or ever if that is zero.
	EachErased(ctx context.Context, since time.Time, each func(Subject)) error
	// ErasuresOf calls each with every erasure of some subjects; most have none.
	ErasuresOf(ctx context.Context, subjects []Subject, each func(Subject, Forgotten)) error
	// RecordErased notes and accounts for positions whose records were not stored because they
	// are erased.
	RecordErased(ctx context.Context, rows []ErasedRow) error
	// RecordSubjects records what is erased, before any of it is removed.
	RecordSubjects(ctx context.Context, subjects []*schemas.ErasedSubject) error
	// RemoveErased removes the rows of an erasure whose subjects are recorded.
	RemoveErased(ctx context.Context, e schemas.Erasure) error
	// ErasedRows is how many versions an erasure removed.
	ErasedRows(ctx context.Context, e schemas.Erasure) (int64, error)
}

// ErasedLog reads all that was ever erased, and calls each with some at a time.
type ErasedLog func(ctx context.Context, each func([]*schemas.ErasedSubject) error) error

// Subject is whom or what an erasure of a tenant is about: its kind is contact or interaction.
type Subject struct{ TenantID, Kind, ID string }

// key is what the filter knows a subject by; ids have no zero byte before their end.
func (s Subject) key() string { return s.TenantID + "\x00" + s.Kind + "\x00" + s.ID }

// Forgotten is one erasure of a subject, as of a point in each topic.
type Forgotten struct {
	ErasureID              string
	Interactions, Contacts schemas.Snapshot
}

// of is the point in a topic.
func (f Forgotten) of(topic schemas.Topic) schemas.Snapshot {
	switch topic {
	case schemas.TopicInteractions:
		return f.Interactions
	case schemas.TopicContacts:
		return f.Contacts
	}
	return nil
}

// ErasedRow is the position of a row that was erased.
type ErasedRow struct {
	Topic               schemas.Topic
	Partition           int32
	Offset              int64
	TenantID, ErasureID string
	Time                time.Time
}

// What the filter is made for: it has 4.8 MB, and of so many subjects takes one record in a
// hundred for one of them by mistake. Of more it takes more, and looks more up.
const (
	filterSubjects = 4_000_000
	filterMistakes = 0.01
)

// NewForgetting returns tables for ingest.
func NewForgetting(t ErasedTables, log ErasedLog, record ErasureRecord, logger *slog.Logger) *Forgetting {
	return &Forgetting{tables: t, log: log, record: record, logger: logger, turn: make(chan struct{}, 1)}
}

// Remember reads the log of who was erased, unless it was read already, and removes
// from ClickHouse what it did not know of. Inserts do it too, and fail while it does.
func (f *Forgetting) Remember(ctx context.Context) error {
	done, err := f.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	return f.remember(ctx)
}

// take waits for the turn.
func (f *Forgetting) take(ctx context.Context) (giveBack func(), err error) {
	select {
	case f.turn <- struct{}{}:
		return func() { <-f.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
	erasures, err := f.rememberAll(ctx)
	if err != nil {
		return fmt.Errorf("erase again what Kafka says was erased: %w", err)
	}
	if erasures > 0 {
		f.logger.Warn("ClickHouse did not know of erasures; they were carried out again", "erasures", erasures)
	}
	f.erased = nil
	f.remembered.Store(true)
	return nil
}

// InsertInteractions is that of Warehouse for those that are not erased.
func (f *Forgetting) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	kept, err := keep(ctx, f, batches, func(e *schemas.Interaction) (string, time.Time, []Subject) {
		about := []Subject{{e.TenantID, "interaction", e.InteractionID}}
		if e.ContactID != "" {
			about = append(about, Subject{e.TenantID, "contact", e.ContactID})
		}
		return e.TenantID, e.StartedAt.Time, about
	})
	if err != nil {
		return err
	}
	return f.tables.InsertInteractions(ctx, kept...)
}

// InsertContacts is that of Warehouse for those that are not erased.
func (f *Forgetting) InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	kept, err := keep(ctx, f, batches, func(e *schemas.Contact) (string, time.Time, []Subject) {
		return e.TenantID, e.CreatedAt.Time, []Subject{{e.TenantID, "contact", e.ContactID}}
	})
	if err != nil {
		return err
	}
	return f.tables.InsertContacts(ctx, kept...)
}

// keep returns the batches without what is erased, having noted the positions of that.
func keep[E any](ctx context.Context, f *Forgetting, batches []schemas.Batch[E], of func(E) (tenant string, at time.Time, about []Subject)) ([]schemas.Batch[E], error) {
	known, err := f.filter(ctx)
	if err != nil || known == nil {
		return batches, err
	}
	suspects := map[Subject][]Forgotten{}
	for _, b := range batches {
		for _, r := range b.Records {
			_, _, about := of(r.Event)
			for _, s := range about {
				if known.TestString(s.key()) {
					suspects[s] = nil
				}
			}
		}
	}
	if len(suspects) == 0 {
		return batches, nil
	}
	err = f.tables.ErasuresOf(ctx, slices.Collect(maps.Keys(suspects)), func(s Subject, e Forgotten) { suspects[s] = append(suspects[s], e) })
	if err != nil {
		return nil, err
	}
	all := make([]schemas.Batch[E], len(batches))
	var dropped []ErasedRow
	for i, b := range batches {
		kept := make([]schemas.Record[E], 0, len(b.Records))
		for _, r := range b.Records {
			tenant, at, about := of(r.Event)
			if erasure := erasureOf(suspects, about, b.Topic, r.Partition, r.Offset); erasure != "" {
				dropped = append(dropped, ErasedRow{b.Topic, r.Partition, r.Offset, tenant, erasure, at})
				continue
			}
			kept = append(kept, r)
		}
		all[i], all[i].Records = b, kept
	}
	if len(dropped) == 0 {
		return batches, nil
	}
	return all, f.tables.RecordErased(ctx, dropped)
}

// erasureOf is the erasure of what is at a position; empty if there was none.
func erasureOf(subjects map[Subject][]Forgotten, about []Subject, topic schemas.Topic, partition int32, offset int64) (erasure string) {
	for _, s := range about {
		for _, e := range subjects[s] {
			if snapshot := e.of(topic); int(partition) < len(snapshot) && offset < snapshot[partition] {
				erasure = e.ErasureID
			}
		}
	}
	return erasure
}

// filterOverlap is how far back the filter is read again: clocks of ClickHouse's replicas
// differ.
const filterOverlap = 10 * time.Minute

// filter returns the filter of all that was erased by now; nil if nothing was.
func (f *Forgetting) filter(ctx context.Context) (*bloom.BloomFilter, error) {
	done, err := f.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := f.remember(ctx); err != nil {
		return nil, err
	}
	now, err := f.tables.ErasedState(ctx)
	if err == nil && now.Newest.Before(f.state.Newest) { // restored: the log knows
		f.remembered.Store(false)
		if err = f.remember(ctx); err == nil {
			now, err = f.tables.ErasedState(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	since := f.state.Newest.Add(-filterOverlap)
	switch {
	case now.Count == 0:
		f.state, f.erased = now, nil
		return nil, nil
	case f.erased == nil:
		since = time.Time{}
	case now == f.state:
		return f.erased, nil
	}
	// Others may be reading the old one.
	filter := bloom.NewWithEstimates(filterSubjects, filterMistakes)
	if f.erased != nil {
		filter = f.erased.Copy()
	}
	if err := f.tables.EachErased(ctx, since, func(s Subject) { filter.AddString(s.key()) }); err != nil {
		return nil, err
	}
	f.state, f.erased = now, filter
	return filter, nil
}
