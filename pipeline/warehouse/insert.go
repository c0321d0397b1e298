package warehouse

import (
	"context"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

const instant = "DateTime64(3, 'UTC')"

// rowColumns are what the tables of interactions and contacts have in common. Where a
// table's types are others, ClickHouse converts.
type rowColumns struct {
	block      tables.Block
	tenant     tables.Words
	time       tables.Numbers
	id         tables.Texts
	attributes tables.Pairs
	stated     tables.Numbers
	body       tables.Texts
	size       tables.Numbers
	partition  tables.Numbers
	offset     tables.Numbers
	published  tables.Numbers
}

func (c *rowColumns) add(timeName, idName string) {
	c.time.Kind, c.stated.Kind, c.size.Kind, c.partition.Kind, c.offset.Kind, c.published.Kind = instant, "Bool", "UInt32", "Int32", "Int64", instant
	for _, column := range []struct {
		name string
		data tables.Column
	}{
		{"tenant_id", &c.tenant}, {timeName, &c.time}, {idName, &c.id}, {"attributes", &c.attributes}, {"stated", &c.stated},
		{"body", &c.body}, {"body_bytes", &c.size}, {"source_partition", &c.partition}, {"source_offset", &c.offset}, {"published_at", &c.published},
	} {
		c.block.Add(column.name, column.data)
	}
}

// append appends a row. body is the event's, or nil if it was made in Go rather than read.
func (c *rowColumns) append(event schemas.Event, tenant string, at time.Time, id string, attributes map[string]string, body []byte, partition int32, offset int64, published time.Time) error {
	if body == nil {
		encoded, err := schemas.Encode(event)
		if err != nil {
			return err
		}
		body = encoded
	}
	c.tenant.Append(tenant)
	c.time.AppendTime(at)
	c.id.Append(id)
	c.attributes.Append(attributes)
	c.stated.AppendBool(true)
	c.body.AppendBytes(body)
	c.size.Append32(uint32(len(body) + 1)) // the line feed that ends a line of an export counts
	c.partition.Append32(uint32(partition))
	c.offset.Append64(uint64(offset))
	c.published.AppendTime(published)
	return nil
}

// interactionColumns are the columns of interactions.
type interactionColumns struct {
	rowColumns
	media, direction, status, queue tables.Words
	contact                         tables.Texts
	attached                        tables.Numbers
	sizes                           tables.Lists
}

// Blocks are used again, each by one insert at a time.
var (
	interactionBlocks = sync.Pool{New: func() any {
		c := new(interactionColumns)
		c.add("started_at", "interaction_id")
		c.attached.Kind = "Bool"
		c.block.Add("media_type", &c.media)
		c.block.Add("direction", &c.direction)
		c.block.Add("status", &c.status)
		c.block.Add("queue", &c.queue)
		c.block.Add("contact_id", &c.contact)
		c.block.Add("attached", &c.attached)
		c.block.Add("attachment_bytes", &c.sizes)
		return c
	}}
	contactBlocks = sync.Pool{New: func() any {
		c := new(rowColumns)
		c.add("created_at", "contact_id")
		return c
	}}
)

// InsertInteractions stores batches, of whatever partitions: all of them or an error.
// Inserting the same records again, in these or other batches, changes nothing a reader
// sees.
//
// It has no deduplication token, and the tables have no deduplication log: both compare what
// was once inserted, not what is stored now. So rows that ClickHouse had lost, read again from
// Kafka and cut into the same batch, were dropped without an error. The sorting key alone makes
// an insert idempotent.
func (w *Warehouse) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	rows, bytes := measure(batches, func(e *schemas.Interaction) []byte { return e.Body })
	if rows == 0 {
		return nil
	}
	c := interactionBlocks.Get().(*interactionColumns)
	c.body.Reserve(rows, bytes)
	for _, b := range batches {
		for _, r := range b.Records {
			e := r.Event
			if err := c.append(e, e.TenantID, e.StartedAt.Time, e.InteractionID, e.Attributes, e.Body, r.Partition, r.Offset, r.Time.Time); err != nil {
				return err
			}
			c.media.Append(e.MediaType)
			c.direction.Append(e.Direction)
			c.status.Append(e.Status)
			c.queue.Append(e.Queue)
			c.contact.Append(e.ContactID)
			c.attached.AppendBool(len(e.Attachments) > 0)
			for _, a := range e.Attachments {
				c.sizes.Append(uint64(a.PlannedBytes()))
			}
			c.sizes.End()
		}
	}
	return w.insertBlock(ctx, "interactions", &c.block, func() { interactionBlocks.Put(c) })
}

// InsertContacts stores batches under the same contract as InsertInteractions.
func (w *Warehouse) InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	rows, bytes := measure(batches, func(e *schemas.Contact) []byte { return e.Body })
	if rows == 0 {
		return nil
	}
	c := contactBlocks.Get().(*rowColumns)
	c.body.Reserve(rows, bytes)
	for _, b := range batches {
		for _, r := range b.Records {
			e := r.Event
			if err := c.append(e, e.TenantID, e.CreatedAt.Time, e.ContactID, e.Attributes, e.Body, r.Partition, r.Offset, r.Time.Time); err != nil {
				return err
			}
		}
	}
	return w.insertBlock(ctx, "contacts", &c.block, func() { contactBlocks.Put(c) })
}

// measure counts the records of batches, and the bytes of their bodies.
func measure[E any](batches []schemas.Batch[E], body func(E) []byte) (records, bytes int) {
	for _, b := range batches {
		records += len(b.Records)
		for _, r := range b.Records {
			bytes += len(body(r.Event))
		}
	}
	return records, bytes
}

// insertBlock stores a block, and gives it back if it may be used again.
func (w *Warehouse) insertBlock(ctx context.Context, table string, b *tables.Block, giveBack func()) error {
	again, err := w.db.InsertBlock(ctx, table, b)
	if again {
		b.Reset()
		giveBack()
	}
	return err
}

// RecordDeadLetters notes positions and reasons of dead letters, and accounts for them.
// Recording one again changes nothing.
func (w *Warehouse) RecordDeadLetters(ctx context.Context, letters []schemas.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	err := w.db.Insert(ctx, "dead_letters", "topic, source_partition, source_offset, next, code, reason", func(block driver.Batch) error {
		for _, l := range letters {
			if err := block.Append(string(l.Topic), l.Partition, l.Offset, l.Next, l.Code, l.Reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	byTopic := map[schemas.Topic][]schemas.Run{}
	for _, l := range letters {
		byTopic[l.Topic] = append(byTopic[l.Topic], l.Run())
	}
	for topic, runs := range byTopic {
		if err := w.account(ctx, topic, kindDeadLetter, runs); err != nil {
			return err
		}
	}
	return nil
}
