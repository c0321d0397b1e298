package pipelinetest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Source holds interactions in memory; it is a pipeline.Source.
type Source struct {
	records []schemas.Record[*schemas.Interaction]
	erased  map[string][]time.Time // ids of interactions, and when
}

// NewSource returns a Source of records, whose events carry their Body.
func NewSource(records ...schemas.Record[*schemas.Interaction]) *Source {
	return &Source{records: records, erased: map[string][]time.Time{}}
}

// EraseAll is Erase of several ids. It returns the source.
func (s *Source) EraseAll(erased map[string]Erased) *Source {
	for id, e := range erased {
		s.Erase(id, e.Below, e.At)
	}
	return s
}

// Erased is an erasure: of the versions below a snapshot, as of an instant.
type Erased struct {
	Below schemas.Snapshot
	At    time.Time
}

// Erase removes every version of an interaction below a snapshot, as of an instant.
func (s *Source) Erase(id string, below schemas.Snapshot, at time.Time) {
	s.records = slices.DeleteFunc(slices.Clone(s.records), func(r schemas.Record[*schemas.Interaction]) bool {
		return r.Event.InteractionID == id && int(r.Partition) < len(below) && r.Offset < below[r.Partition]
	})
	s.erased[id] = append(s.erased[id], at)
}

// row is the version of an interaction that counts.
type row struct {
	key    schemas.RowKey
	record schemas.Record[*schemas.Interaction]
}

func (r row) bytes() int64 { return int64(len(r.record.Event.Body) + 1) }

func (r row) version() uint64 { return warehouse.VersionOf(r.record.Partition, r.record.Offset) }

// versions are the records below the snapshot within the range.
func (s *Source) versions(q warehouse.Query) (all []row) {
	for _, r := range s.records {
		e := r.Event
		below := int(r.Partition) < len(q.Snapshot) && r.Offset < q.Snapshot[r.Partition]
		if below && e.TenantID == q.Filter.TenantID && !e.StartedAt.Before(q.Filter.From.Time) && e.StartedAt.Before(q.Filter.To.Time) {
			all = append(all, row{schemas.RowKey{Time: e.StartedAt, ID: e.InteractionID}, r})
		}
	}
	return all
}

// ofPartitions are the newest version of each row in each partition, by row and partition.
func (s *Source) ofPartitions(q warehouse.Query) []row {
	versions := s.versions(q)
	slices.SortFunc(versions, func(a, b row) int {
		return cmp.Or(a.key.Compare(b.key), cmp.Compare(a.record.Partition, b.record.Partition), cmp.Compare(b.record.Offset, a.record.Offset))
	})
	return slices.CompactFunc(versions, func(a, b row) bool {
		return a.key.Compare(b.key) == 0 && a.record.Partition == b.record.Partition
	})
}

// rows are the newest versions that pass the filter, in order; with Before those that differ.
func (s *Source) rows(q warehouse.Query) (all []row) {
	if q.Before == nil {
		return s.selected(q)
	}
	now, had := s.sides(q)
	gone := s.goneIn(q)
	return slices.DeleteFunc(now, func(r row) bool {
		i := slices.IndexFunc(had, func(h row) bool { return h.key == r.key })
		same := i >= 0 && had[i].record.Partition == r.record.Partition && had[i].record.Offset == r.record.Offset
		return same && !slices.Contains(gone, r.key.ID)
	})
}

// sides are what the query selects without Before, and what Before selected.
func (s *Source) sides(q warehouse.Query) (now, had []row) {
	before := warehouse.Query{Filter: q.Before.Filter, Snapshot: q.Before.Snapshot, Scattered: true}
	q.Before, q.Scattered = nil, true
	return s.selected(q), s.selected(before)
}

// goneIn are the ids that were erased between the query's bounds, in order.
func (s *Source) goneIn(q warehouse.Query) (ids []string) {
	for id, times := range s.erased {
		if slices.ContainsFunc(times, func(at time.Time) bool { return !at.Before(q.Before.ErasedFrom) && at.Before(q.Before.ErasedTo) }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// ErasedUntil says whether anything was erased at or past from.
func (s *Source) ErasedUntil(_ context.Context, _, _ string, from time.Time) (until time.Time, erased bool, err error) {
	for _, times := range s.erased {
		erased = erased || slices.ContainsFunc(times, func(at time.Time) bool { return !at.Before(from) })
	}
	return time.Now(), erased, nil
}

// Removed calls each with every removal between two inclusive keys.
func (s *Source) Removed(_ context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	if q.Before == nil {
		return nil
	}
	now, had := s.sides(q)
	gone := s.goneIn(q)
	var all []schemas.Removal
	for _, id := range gone {
		all = append(all, schemas.Removal{ID: id, Reason: schemas.RemovedErased})
	}
	for _, r := range had {
		in := !r.key.Time.Before(q.Filter.From.Time) && r.key.Time.Before(q.Filter.To.Time) // the receiver removes the others itself
		if in && !slices.Contains(gone, r.key.ID) && !slices.ContainsFunc(now, func(n row) bool { return n.key == r.key }) {
			all = append(all, schemas.Removal{ID: r.key.ID, Time: r.key.Time, Reason: schemas.RemovedFilter})
		}
	}
	for _, r := range all {
		if r.Key().Compare(first) < 0 || last != nil && r.Key().Compare(*last) > 0 {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// CountRemoved is how many removals there are.
func (s *Source) CountRemoved(ctx context.Context, q warehouse.Query) (n int64, err error) {
	err = s.Removed(ctx, q, schemas.RowKey{}, nil, func(schemas.Removal) error { n++; return nil })
	return n, err
}

func (s *Source) selected(q warehouse.Query) (all []row) {
	newest := s.ofPartitions(q)
	slices.SortStableFunc(newest, func(a, b row) int {
		if q.Scattered {
			return cmp.Or(a.key.Compare(b.key), b.record.Time.Compare(a.record.Time), cmp.Compare(b.record.Partition, a.record.Partition))
		}
		return cmp.Or(a.key.Compare(b.key), cmp.Compare(b.record.Offset, a.record.Offset))
	})
	newest = slices.CompactFunc(newest, func(a, b row) bool { return a.key.Compare(b.key) == 0 })
	for _, r := range newest {
		if passes(q.Filter, r.record.Event) {
			all = append(all, r)
		}
	}
	return all
}

func passes(f schemas.Filter, e *schemas.Interaction) bool {
	for _, in := range []struct {
		asked []string
		value string
	}{{f.MediaTypes, e.MediaType}, {f.Queues, e.Queue}, {f.Directions, e.Direction}, {f.Statuses, e.Status}, {f.Contacts, e.ContactID}} {
		if len(in.asked) > 0 && !slices.Contains(in.asked, in.value) {
			return false
		}
	}
	for name, want := range f.Attributes {
		if value, there := e.Attributes[name]; !there || value != want {
			return false
		}
	}
	return true
}

// Extent is how much the query selects.
func (s *Source) Extent(_ context.Context, q warehouse.Query) (e warehouse.Extent, _ error) {
	all := s.ofPartitions(q)
	if q.Before == nil {
		e.Scattered = len(slices.CompactFunc(slices.Clone(all), func(a, b row) bool { return a.key.Compare(b.key) == 0 })) < len(all)
	}
	q.Scattered = e.Scattered
	for _, r := range s.rows(q) {
		e.Rows++
		e.Bytes += r.bytes()
		e.Largest = max(e.Largest, r.bytes())
		if len(r.record.Event.Attachments) > 0 {
			e.Attached++
		}
		e.Versions += r.version()
	}
	return e, nil
}

// Chunks cuts the rows into runs of n.
func (s *Source) Chunks(_ context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	for run := range slices.Chunk(s.rows(q), int(n)) {
		c := warehouse.Chunk{First: run[0].key, Last: run[len(run)-1].key, Rows: int64(len(run))}
		for _, r := range run {
			c.Bytes += r.bytes()
			c.Versions += r.version()
			if len(r.record.Event.Attachments) > 0 {
				c.Attached++
				c.AttachedVersions += r.version()
			}
		}
		if err := each(c); err != nil {
			return err
		}
	}
	return nil
}

// Chunks are all chunks of a query.
func Chunks(ctx context.Context, s interface {
	Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error
}, q warehouse.Query, n int64) (all []warehouse.Chunk, err error) {
	err = s.Chunks(ctx, q, n, func(c warehouse.Chunk) error { all = append(all, c); return nil })
	return all, err
}

// Rows streams the JSON Lines between two inclusive keys.
func (s *Source) Rows(_ context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	var content bytes.Buffer
	var versions uint64
	for _, r := range s.between(q, first, last) {
		content.Write(r.record.Event.Body)
		content.WriteByte('\n')
		versions += r.version()
	}
	return readLines{&content, versions}, nil
}

// readLines are JSON Lines in memory.
type readLines struct {
	io.Reader
	versions uint64
}

func (readLines) Close() error  { return nil }
func (l readLines) Sum() uint64 { return l.versions }

// LinesOf are the lines of another source, with other content.
func LinesOf(versions uint64, content []byte) warehouse.Lines {
	return readLines{bytes.NewReader(content), versions}
}

// Attached calls each with the rows that have attachments.
func (s *Source) Attached(_ context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	for _, r := range s.between(q, first, last) {
		if len(r.record.Event.Attachments) == 0 {
			continue
		}
		if err := each(r.version(), r.record.Event.Body); err != nil {
			return err
		}
	}
	return nil
}

// AttachmentSizes calls each with the rows of Attached.
func (s *Source) AttachmentSizes(_ context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	for _, r := range s.between(q, first, last) {
		if len(r.record.Event.Attachments) == 0 {
			continue
		}
		var sizes []uint64
		for _, a := range r.record.Event.Attachments {
			sizes = append(sizes, uint64(a.PlannedBytes()))
		}
		each(r.key, r.version(), sizes)
	}
	return nil
}

// between are the rows between two inclusive keys.
func (s *Source) between(q warehouse.Query, first, last schemas.RowKey) []row {
	return slices.DeleteFunc(s.rows(q), func(r row) bool { return r.key.Compare(first) < 0 || r.key.Compare(last) > 0 })
}
