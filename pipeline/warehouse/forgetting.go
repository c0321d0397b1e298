package warehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/bits-and-blooms/bloom/v3"

	"cdds/pipeline/tables"
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
	*Warehouse
	log    ErasedLog
	record ErasureRecord
	logger *slog.Logger

	remembered atomic.Bool

	mu     sync.Mutex
	state  erasedState
	erased *bloom.BloomFilter // replaced when it is read anew, and only ever added to
}

// ErasedLog reads all that was ever erased, and calls each with some at a time.
type ErasedLog func(ctx context.Context, each func([]*schemas.ErasedSubject) error) error

// subject is whom or what an erasure is about.
type subject struct{ tenant, kind, id string }

// key is what the filter knows a subject by; ids have no zero byte before their end.
func (s subject) key() string { return s.tenant + "\x00" + s.kind + "\x00" + s.id }

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

// What the filter is made for: it has 4.8 MB, and of so many subjects takes one record in a
// hundred for one of them by mistake. Of more it takes more, and looks more up.
const (
	filterSubjects = 4_000_000
	filterMistakes = 0.01
)

// NewForgetting returns w for ingest.
func NewForgetting(w *Warehouse, log ErasedLog, record ErasureRecord, logger *slog.Logger) *Forgetting {
	return &Forgetting{Warehouse: w, log: log, record: record, logger: logger}
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
	erasures, err := f.Warehouse.Remember(ctx, f.log, f.record)
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
	known, err := f.filter(ctx)
	if err != nil || known == nil {
		return batches, err
	}
	suspects := map[subject][]forgotten{}
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
	if err := f.lookUp(ctx, suspects); err != nil {
		return nil, err
	}
	all := make([]schemas.Batch[E], len(batches))
	var dropped []erasedRow
	for i, b := range batches {
		kept := make([]schemas.Record[E], 0, len(b.Records))
		for _, r := range b.Records {
			tenant, at, about := of(r.Event)
			if erasure := erasureOf(suspects, about, b.Topic, r.Partition, r.Offset); erasure != "" {
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

// lookUp fills in the erasures of subjects; most have none.
func (f *Forgetting) lookUp(ctx context.Context, suspects map[subject][]forgotten) error {
	for some := range tables.Fitting(slices.Collect(maps.Keys(suspects)), func(s subject) int { return max(len(s.tenant), len(s.kind), len(s.id)) }) {
		tenants, kinds, ids := make([]string, len(some)), make([]string, len(some)), make([]string, len(some))
		for i, s := range some {
			tenants[i], kinds[i], ids[i] = s.tenant, s.kind, s.id
		}
		err := f.db.Each(ctx, "look up erasures", `
SELECT tenant_id, kind, id, erasure_id, interactions, contacts FROM erased_subjects
WHERE (tenant_id, kind, id) IN (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {kinds:Array(String)}, {ids:Array(String)})))`,
			[]any{tables.Named("tenants", tenants), tables.Named("kinds", kinds), tables.Named("ids", ids)},
			func(rows driver.Rows) error {
				var s subject
				var erasure string
				var interactions, contacts []int64
				if err := rows.Scan(&s.tenant, &s.kind, &s.id, &erasure, &interactions, &contacts); err != nil {
					return err
				}
				suspects[s] = append(suspects[s], forgotten{erasure, map[schemas.Topic]schemas.Snapshot{
					schemas.TopicInteractions: interactions, schemas.TopicContacts: contacts,
				}})
				return nil
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// erasedState says whether more was erased, or less is known, than before.
type erasedState struct {
	count  uint64
	newest time.Time
}

// filterOverlap is how far back the filter is read again: clocks of ClickHouse's replicas
// differ.
const filterOverlap = 10 * time.Minute

// filter returns the filter of all that was erased by now; nil if nothing was.
func (f *Forgetting) filter(ctx context.Context) (*bloom.BloomFilter, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.remember(ctx); err != nil {
		return nil, err
	}
	now, err := f.erasedState(ctx)
	if err == nil && now.newest.Before(f.state.newest) { // restored: the log knows
		f.remembered.Store(false)
		if err = f.remember(ctx); err == nil {
			now, err = f.erasedState(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	since := f.state.newest.Add(-filterOverlap)
	switch {
	case now.count == 0:
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
	if err := f.read(ctx, since, filter); err != nil {
		return nil, err
	}
	f.state, f.erased = now, filter
	return filter, nil
}

// read adds the subjects that were recorded at or past since.
func (f *Forgetting) read(ctx context.Context, since time.Time, filter *bloom.BloomFilter) error {
	sql := "SELECT tenant_id, kind, id FROM erased_subjects"
	var args []any
	if !since.IsZero() {
		sql += " WHERE recorded_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')"
		args = append(args, tables.Named("since", since.UnixMicro()))
	}
	return f.db.Each(ctx, "read erasures", sql, args, func(rows driver.Rows) error {
		var s subject
		err := rows.Scan(&s.tenant, &s.kind, &s.id)
		filter.AddString(s.key())
		return err
	})
}

// erasedState reads a projection of one row for each part.
func (f *Forgetting) erasedState(ctx context.Context) (s erasedState, err error) {
	err = f.db.Scan(ctx, "look for erasures", "SELECT count(), max(recorded_at) FROM erased_subjects", nil, &s.count, &s.newest)
	return s, err
}
