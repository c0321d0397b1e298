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
// ClickHouse may lose who was erased at any moment, or be set back. So before each insert the
// log is read on to its end, and after the last question what was recorded last must still be
// there: whatever was recorded before it is, then.
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
	turn      chan struct{}
	read      bool // the log was read from its beginning, and ClickHouse has what it says
	state     ErasedState
	erased    *bloom.BloomFilter // replaced when it is read anew, and only ever added to
	witnesses witnesses
}

// witnesses are what must be recorded for as long as ClickHouse has lost nothing: what was
// recorded last, and what was read last in the log since.
type witnesses struct{ recorded, read *Erased }

func (w witnesses) all() (all []Erased) {
	for _, e := range []*Erased{w.recorded, w.read} {
		if e != nil {
			all = append(all, *e)
		}
	}
	return all
}

// ErasedTables are the tables as Forgetting needs them; *Warehouse has them.
type ErasedTables interface {
	InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error
	InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error
	// ErasedState says how much is recorded as erased.
	ErasedState(ctx context.Context) (ErasedState, error)
	// EachErased calls each with whom and what is recorded as erased, at or past since by
	// ClickHouse's clock, or ever if that is zero, and when that was.
	EachErased(ctx context.Context, since time.Time, each func(Erased, time.Time)) error
	// Recorded returns which of some are recorded.
	Recorded(ctx context.Context, all []Erased) (map[Erased]bool, error)
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

// ErasedLog is the log of who was erased. It is used by one goroutine at a time.
type ErasedLog interface {
	// Read calls each with what was erased since the last Read, up to now, or ever if there was
	// none or Rewind came after it, some at a time. What each took without an error is not read
	// again.
	Read(ctx context.Context, each func([]*schemas.ErasedSubject) error) error
	// Rewind has the next Read begin at the beginning.
	Rewind()
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

// Remember reads on in the log of who was erased, and removes from ClickHouse what it does not
// know of, or knows no more. Inserts do it too; where none come for a while it is to be called
// now and then, for ClickHouse may be set back to when somebody who was erased was stored.
func (f *Forgetting) Remember(ctx context.Context) error {
	return f.surely(ctx, func(*bloom.BloomFilter) error { return nil })
}

// surely calls look with the filter of what was erased, until ClickHouse has lost nothing meanwhile.
func (f *Forgetting) surely(ctx context.Context, look func(*bloom.BloomFilter) error) error {
	for range mostLooks {
		known, last, err := f.filter(ctx)
		if err != nil {
			return err
		}
		if err := look(known); err != nil {
			return err
		}
		if sure, err := f.sure(ctx, last); err != nil || sure {
			return err
		}
	}
	return errors.New("ClickHouse loses who was erased while it is asked")
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

// remember reads on in the log, from its beginning if ClickHouse may have lost something.
func (f *Forgetting) remember(ctx context.Context) error {
	whole := !f.read
	if whole {
		f.log.Rewind()
		f.witnesses = witnesses{}
	}
	erasures, err := f.carryOut(ctx, whole)
	if err != nil {
		return fmt.Errorf("erase again what Kafka says was erased: %w", err)
	}
	if erasures > 0 {
		f.logger.Warn("ClickHouse did not know of erasures; they were carried out again", "erasures", erasures)
	}
	if whole {
		f.erased = nil
	}
	f.read = true
	f.remembered.Store(true)
	return nil
}

// doubt has everything read again: ClickHouse lost something.
func (f *Forgetting) doubt(ctx context.Context) error {
	done, err := f.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	f.read = false
	f.remembered.Store(false)
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

// mostLooks bounds how often everything is read again for one insert.
const mostLooks = 3

// keep returns the batches without what is erased, having noted the positions of that.
func keep[E any](ctx context.Context, f *Forgetting, batches []schemas.Batch[E], of func(E) (tenant string, at time.Time, about []Subject)) ([]schemas.Batch[E], error) {
	var erased map[Subject][]Forgotten
	err := f.surely(ctx, func(known *bloom.BloomFilter) (err error) {
		erased, err = f.lookUp(ctx, suspectsIn(batches, of, known))
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(erased) == 0 {
		return batches, nil
	}
	all := make([]schemas.Batch[E], len(batches))
	var dropped []ErasedRow
	var forgotten []*schemas.ErasedSubject
	for i, b := range batches {
		kept := make([]schemas.Record[E], 0, len(b.Records))
		for _, r := range b.Records {
			tenant, at, about := of(r.Event)
			s, erasure, gone := erasureOf(erased, about, b.Topic, r.Partition, r.Offset)
			if !gone {
				kept = append(kept, r)
				continue
			}
			dropped = append(dropped, ErasedRow{b.Topic, r.Partition, r.Offset, tenant, erasure.ErasureID, at})
			if s != about[0] { // known by its contact alone: receivers have it by its own id
				forgotten = append(forgotten, erasure.of(about[0]))
			}
		}
		all[i], all[i].Records = b, kept
	}
	if len(dropped) == 0 {
		return batches, nil
	}
	if len(forgotten) > 0 {
		if err := f.tables.RecordSubjects(ctx, forgotten); err != nil {
			return nil, err
		}
	}
	return all, f.tables.RecordErased(ctx, dropped)
}

// suspectsIn are the subjects of records that the filter knows; a nil one knows none.
func suspectsIn[E any](batches []schemas.Batch[E], of func(E) (string, time.Time, []Subject), known *bloom.BloomFilter) []Subject {
	if known == nil {
		return nil
	}
	suspects := map[Subject]bool{}
	for _, b := range batches {
		for _, r := range b.Records {
			_, _, about := of(r.Event)
			for _, s := range about {
				if known.TestString(s.key()) {
					suspects[s] = true
				}
			}
		}
	}
	return slices.Collect(maps.Keys(suspects))
}

// lookUp returns the erasures of suspects; most have none.
func (f *Forgetting) lookUp(ctx context.Context, suspects []Subject) (map[Subject][]Forgotten, error) {
	if len(suspects) == 0 {
		return nil, nil
	}
	erased := map[Subject][]Forgotten{}
	return erased, f.tables.ErasuresOf(ctx, suspects, func(s Subject, e Forgotten) { erased[s] = append(erased[s], e) })
}

// sure reports whether ClickHouse has lost nothing that it was asked for; otherwise everything
// is read again.
func (f *Forgetting) sure(ctx context.Context, last []Erased) (bool, error) {
	if len(last) == 0 {
		return true, nil
	}
	there, err := f.tables.Recorded(ctx, last)
	if err != nil {
		return false, err
	}
	for _, e := range last {
		if !there[e] {
			return false, f.doubt(ctx)
		}
	}
	return true, nil
}

// erasureOf is the erasure of what is at a position, and the subject that it is about, the
// record's own id before others; false if none exists.
func erasureOf(subjects map[Subject][]Forgotten, about []Subject, topic schemas.Topic, partition int32, offset int64) (Subject, Forgotten, bool) {
	for _, s := range about {
		for _, e := range subjects[s] {
			if snapshot := e.below(topic); int(partition) < len(snapshot) && offset < snapshot[partition] {
				return s, e, true
			}
		}
	}
	return Subject{}, Forgotten{}, false
}

// filterOverlap is how far back the filter is read again: clocks of ClickHouse's replicas
// differ.
const filterOverlap = 10 * time.Minute

// filter returns the filter of all that was erased by now, nil if nothing was, and what must
// still be recorded once it was used.
func (f *Forgetting) filter(ctx context.Context) (*bloom.BloomFilter, []Erased, error) {
	done, err := f.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	if err := f.remember(ctx); err != nil {
		return nil, nil, err
	}
	now, err := f.tables.ErasedState(ctx)
	if err != nil {
		return nil, nil, err
	}
	last := f.witnesses.all() // they bear witness until others do
	since := f.state.Newest.Add(-filterOverlap)
	switch {
	case now.Count == 0:
		f.state, f.erased = now, nil
		return nil, last, nil
	case f.erased == nil:
		since = time.Time{}
	case now == f.state:
		return f.erased, last, nil
	}
	// Others may be reading the old one.
	filter := bloom.NewWithEstimates(filterSubjects, filterMistakes)
	if f.erased != nil {
		filter = f.erased.Copy()
	}
	var newest time.Time
	var witness Erased
	err = f.tables.EachErased(ctx, since, func(e Erased, at time.Time) {
		filter.AddString(e.key())
		if !at.Before(newest) {
			newest, witness = at, e
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if !newest.IsZero() {
		f.witnesses = witnesses{recorded: &witness}
		last = append(last, witness)
	}
	f.state, f.erased = now, filter
	return filter, last, nil
}
