package simulate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// tables is ClickHouse as a process reaches it.
type tables struct{ p *process }

// InsertInteractions implements ingest.Interactions.
func (t tables) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	insert := func(batches []schemas.Batch[*schemas.Interaction]) error {
		t.p.w.model.stored(batches)
		return t.p.w.tables.InsertInteractions(ctx, batches...)
	}
	return inserting(ctx, t.p, "insert", batches, insert, func(i *schemas.Interaction) schemas.Time { return i.StartedAt })
}

// InsertContacts implements ingest.Contacts.
func (t tables) InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	insert := func(batches []schemas.Batch[*schemas.Contact]) error {
		t.p.w.model.stored(pipelinetest.RowsOf(batches))
		return t.p.w.tables.InsertContacts(ctx, batches...)
	}
	return inserting(ctx, t.p, "insert contacts", batches, insert, func(c *schemas.Contact) schemas.Time { return c.CreatedAt })
}

// inserting stores rows. ClickHouse stores a block year by year: an insert that fails may have
// stored some of them.
func inserting[E any](ctx context.Context, p *process, name string, batches []schemas.Batch[E], insert func([]schemas.Batch[E]) error, at func(E) schemas.Time) error {
	batches = slices.SortedFunc(slices.Values(batches), func(a, b schemas.Batch[E]) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First))
	})
	for _, b := range batches {
		name += fmt.Sprintf(" %d/%d-%d", b.Partition, b.First, b.Next)
	}
	return p.wait(ctx, &call{service: atClickHouse, name: name, changes: true,
		effect: func() error { return insert(batches) },
		half:   func() { _ = insert(firstYearOf(batches, at)) }})
}

// firstYearOf is the rows of batches that are of the first row's year.
func firstYearOf[E any](batches []schemas.Batch[E], at func(E) schemas.Time) (some []schemas.Batch[E]) {
	year := 0
	for _, b := range batches {
		of := b
		of.Records = nil
		for _, r := range b.Records {
			if year == 0 {
				year = at(r.Event).Year()
			}
			if at(r.Event).Year() == year {
				of.Records = append(of.Records, r)
			}
		}
		some = append(some, of)
	}
	return some
}

// RecordDeadLetters implements consumers.Account.
func (t tables) RecordDeadLetters(ctx context.Context, letters []schemas.DeadLetter) error {
	l := letters[0]
	return t.p.change(ctx, atClickHouse, fmt.Sprintf("letters %s %d/%d", l.Topic, l.Partition, l.Offset), func() error {
		t.p.w.model.lettered(letters)
		return t.p.w.tables.RecordDeadLetters(ctx, letters)
	})
}

// RecordVoids implements consumers.Account.
func (t tables) RecordVoids(ctx context.Context, voids []schemas.Void) error {
	v := voids[0]
	return t.p.change(ctx, atClickHouse, fmt.Sprintf("voids %s %d/%d", v.Topic, v.Partition, v.First), func() error {
		return t.p.w.tables.RecordVoids(ctx, voids)
	})
}

// WriteOff implements account.Store.
func (t tables) WriteOff(ctx context.Context, topic schemas.Topic, lost []schemas.Run) error {
	return t.p.change(ctx, atClickHouse, "write off", func() error { return t.p.w.tables.WriteOff(ctx, topic, lost) })
}

// Account implements account.Store.
func (t tables) Account(ctx context.Context, topic schemas.Topic, used []schemas.Run) (all []warehouse.PartitionAccount, err error) {
	err = t.p.ask(ctx, atClickHouse, "account of "+string(topic), func() (err error) { all, err = t.p.w.tables.Account(ctx, topic, used); return err })
	return all, err
}

// Reached is how far ClickHouse has a topic.
func (t tables) Reached(ctx context.Context, topic schemas.Topic) (all map[int32]int64, err error) {
	err = t.p.ask(ctx, atClickHouse, "reached of "+string(topic), func() (err error) { all, err = t.p.w.tables.Reached(ctx, topic); return err })
	return all, err
}

// Missing implements export.Ledger.
func (t tables) Missing(ctx context.Context, topic schemas.Topic, used []schemas.Run) (n int64, err error) {
	err = t.p.ask(ctx, atClickHouse, "missing of "+string(topic), func() (err error) {
		if topic == schemas.TopicExportStatus {
			n = int64(len(t.p.w.told.missing(used)))
			return nil
		}
		n, err = t.p.w.tables.Missing(ctx, topic, used)
		return err
	})
	return n, err
}

// Gaps implements export.Ledger.
func (t tables) Gaps(ctx context.Context, topic schemas.Topic, used []schemas.Run, limit int) (gaps []schemas.Run, more bool, err error) {
	err = t.p.ask(ctx, atClickHouse, "gaps of "+string(topic), func() (err error) {
		if topic == schemas.TopicExportStatus {
			all := t.p.w.told.missing(used)
			gaps, more = all[:min(len(all), limit)], len(all) > limit
			return nil
		}
		gaps, more, err = t.p.w.tables.Gaps(ctx, topic, used, limit)
		return err
	})
	return gaps, more, err
}

// HasTenant implements export.Tenants.
func (t tables) HasTenant(ctx context.Context, tenant string) (has bool, err error) {
	err = t.p.ask(ctx, atClickHouse, "tenant "+tenant, func() (err error) { has, err = t.p.w.tables.HasTenant(ctx, tenant); return err })
	return has, err
}

// Extent implements pipeline.Source.
func (t tables) Extent(ctx context.Context, q warehouse.Query) (e warehouse.Extent, err error) {
	err = t.p.ask(ctx, atClickHouse, "extent", func() (err error) { e, err = t.p.w.tables.Extent(ctx, q); return err })
	return e, err
}

// Chunks implements pipeline.Source.
func (t tables) Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	return t.p.ask(ctx, atClickHouse, fmt.Sprint("chunks ", n), func() error { return t.p.w.tables.Chunks(ctx, q, n, each) })
}

// Rows implements pipeline.Source.
func (t tables) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (rows warehouse.Lines, err error) {
	err = t.p.ask(ctx, atClickHouse, "rows "+first.ID, func() (err error) { rows, err = t.p.w.tables.Rows(ctx, q, first, last); return err })
	return rows, err
}

// Attached implements pipeline.Source.
func (t tables) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	return t.p.ask(ctx, atClickHouse, "attached "+first.ID, func() error { return t.p.w.tables.Attached(ctx, q, first, last, each) })
}

// AttachmentSizes implements pipeline.Source.
func (t tables) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	return t.p.ask(ctx, atClickHouse, "sizes", func() error { return t.p.w.tables.AttachmentSizes(ctx, q, first, last, each) })
}

// CountRemoved implements pipeline.Source.
func (t tables) CountRemoved(ctx context.Context, q warehouse.Query) (n int64, err error) {
	err = t.p.ask(ctx, atClickHouse, "count removals", func() (err error) { n, err = t.p.w.tables.CountRemoved(ctx, q); return err })
	return n, err
}

// Removed implements pipeline.Source.
func (t tables) Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	return t.p.ask(ctx, atClickHouse, "removals", func() error { return t.p.w.tables.Removed(ctx, q, first, last, each) })
}

// noted is the bucket of somebody; what is put there is noted in the model.
type noted struct {
	*pipelinetest.Store
	w *world
	p *process // nil: an operator
}

// Put implements pipeline.Store.
func (n noted) Put(ctx context.Context, key string, c bucket.Content) error {
	err := n.Store.Put(ctx, key, c)
	if err == nil {
		n.w.model.put(n.p, key)
	}
	return err
}

// PutBytes implements pipeline.Store.
func (n noted) PutBytes(ctx context.Context, key string, content []byte, contentType string) error {
	err := n.Store.PutBytes(ctx, key, content, contentType)
	if err == nil {
		n.w.model.put(n.p, key)
	}
	return err
}

// objects is the bucket as a process reaches it: it is a pipeline.Store.
type objects struct{ p *process }

var _ pipeline.Store = objects{}

// Put implements pipeline.Store.
func (o objects) Put(ctx context.Context, key string, c bucket.Content) error {
	return o.p.change(ctx, atBucket, "put "+key, func() error {
		return noted{o.p.w.objects.Store, o.p.w, o.p}.Put(ctx, key, c)
	})
}

// PutBytes implements pipeline.Store.
func (o objects) PutBytes(ctx context.Context, key string, content []byte, contentType string) error {
	return o.p.change(ctx, atBucket, "put "+key, func() error {
		return noted{o.p.w.objects.Store, o.p.w, o.p}.PutBytes(ctx, key, content, contentType)
	})
}

// Stat implements pipeline.Store.
func (o objects) Stat(ctx context.Context, key string) (found bucket.Object, err error) {
	err = o.p.ask(ctx, atBucket, "stat "+key, func() (err error) { found, err = o.p.w.objects.Stat(ctx, key); return err })
	return found, err
}

// GetBytes implements pipeline.Store.
func (o objects) GetBytes(ctx context.Context, key string, limit int64) (content []byte, err error) {
	err = o.p.ask(ctx, atBucket, "get "+key, func() (err error) { content, err = o.p.w.objects.GetBytes(ctx, key, limit); return err })
	return content, err
}

// Open implements pipeline.Store.
func (o objects) Open(ctx context.Context, key string) (r io.ReadCloser, err error) {
	err = o.p.ask(ctx, atBucket, "get "+key, func() (err error) { r, err = o.p.w.objects.Open(ctx, key); return err })
	return r, err
}

// List implements pipeline.Store.
func (o objects) List(ctx context.Context, prefix string) (all []bucket.Object, err error) {
	err = o.p.ask(ctx, atBucket, "list "+prefix, func() (err error) { all, err = o.p.w.objects.List(ctx, prefix); return err })
	return all, err
}

// Remains implements pipeline.Store.
func (o objects) Remains(ctx context.Context, prefix string) (all []bucket.Object, err error) {
	err = o.p.ask(ctx, atBucket, "list "+prefix, func() (err error) { all, err = o.p.w.objects.Remains(ctx, prefix); return err })
	return all, err
}

// Remove implements pipeline.Store.
func (o objects) Remove(ctx context.Context, key string) error {
	return o.p.change(ctx, atBucket, "remove "+key, func() error {
		o.p.w.tidied(key)
		return o.p.w.objects.Remove(ctx, key)
	})
}

// RemoveAll implements pipeline.Store: it may fail at each object.
func (o objects) RemoveAll(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := o.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Folders implements pipeline.Store.
func (o objects) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var all []string
		err := o.p.ask(ctx, atBucket, "folders "+prefix, func() error {
			for folder, err := range o.p.w.objects.Folders(ctx, prefix) {
				if err != nil {
					return err
				}
				all = append(all, folder)
			}
			return nil
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, folder := range all {
			if !yield(folder, nil) {
				return
			}
		}
	}
}

// ErasedUntil implements pipeline.Source.
func (t tables) ErasedUntil(ctx context.Context, tenantID, entity string, from time.Time) (until time.Time, erased bool, err error) {
	err = t.p.ask(ctx, atClickHouse, "erased until", func() (err error) {
		until, erased, err = t.p.w.tables.ErasedUntil(ctx, tenantID, entity, from)
		return err
	})
	return until, erased, err
}
