package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// What an insert sends, so that the client need not ask ClickHouse each time; where a
// table's types are others ClickHouse converts.
var (
	bodyColumns = []clickhouse.ColumnNameAndType{
		{Name: "body", Type: "String"}, {Name: "body_bytes", Type: "UInt32"},
		{Name: "source_partition", Type: "Int32"}, {Name: "source_offset", Type: "Int64"}, {Name: "published_at", Type: "DateTime64(3, 'UTC')"},
	}
	interactionColumns = append([]clickhouse.ColumnNameAndType{
		{Name: "tenant_id", Type: "LowCardinality(String)"}, {Name: "started_at", Type: "DateTime64(3, 'UTC')"}, {Name: "interaction_id", Type: "String"},
		{Name: "media_type", Type: "LowCardinality(String)"}, {Name: "direction", Type: "LowCardinality(String)"},
		{Name: "status", Type: "LowCardinality(String)"}, {Name: "queue", Type: "LowCardinality(String)"}, {Name: "contact_id", Type: "String"},
		{Name: "attributes", Type: "Map(String, String)"}, {Name: "stated", Type: "Bool"},
		{Name: "attached", Type: "Bool"}, {Name: "attachment_bytes", Type: "Array(UInt64)"},
	}, bodyColumns...)
	contactColumns = append([]clickhouse.ColumnNameAndType{
		{Name: "tenant_id", Type: "LowCardinality(String)"}, {Name: "created_at", Type: "DateTime64(3, 'UTC')"}, {Name: "contact_id", Type: "String"},
		{Name: "attributes", Type: "Map(String, String)"}, {Name: "stated", Type: "Bool"},
	}, bodyColumns...)
)

// InsertInteractions stores batches, of whatever partitions: all of them or an error.
// Inserting the same records again, in these or other batches, changes nothing a reader
// sees.
func (w *Warehouse) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	n := count(batches)
	var (
		tenants, ids, media, directions = make([]string, 0, n), make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
		statuses, queues, contacts      = make([]string, 0, n), make([]string, 0, n), make([]string, 0, n)
		times                           = make([]time.Time, 0, n)
		attributes                      = make([]map[string]string, 0, n)
		attached, sizes                 = make([]bool, 0, n), make([][]uint64, 0, n)
	)
	for _, b := range batches {
		for _, r := range b.Records {
			e := r.Event
			tenants, times, ids = append(tenants, e.TenantID), append(times, e.StartedAt.Time), append(ids, e.InteractionID)
			media, directions, statuses = append(media, e.MediaType), append(directions, e.Direction), append(statuses, e.Status)
			queues, contacts = append(queues, e.Queue), append(contacts, e.ContactID)
			attributes = append(attributes, e.Attributes)
			attached, sizes = append(attached, len(e.Attachments) > 0), append(sizes, attachmentBytes(e.Attachments))
		}
	}
	body := func(e *schemas.Interaction) []byte { return e.Body }
	return insert(ctx, w, "interactions", interactionColumns, batches, body, tenants, times, ids, media, directions, statuses, queues, contacts, attributes, allTrue(n), attached, sizes)
}

func attachmentBytes(list []schemas.Attachment) []uint64 {
	if len(list) == 0 {
		return nil
	}
	sizes := make([]uint64, len(list))
	for i, a := range list {
		sizes[i] = uint64(a.PlannedBytes()) // at most schemas.MaxObjectBytes
	}
	return sizes
}

// InsertContacts stores batches under the same contract as InsertInteractions.
func (w *Warehouse) InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	n := count(batches)
	tenants, ids, times := make([]string, 0, n), make([]string, 0, n), make([]time.Time, 0, n)
	attributes := make([]map[string]string, 0, n)
	for _, b := range batches {
		for _, r := range b.Records {
			tenants, times, ids = append(tenants, r.Event.TenantID), append(times, r.Event.CreatedAt.Time), append(ids, r.Event.ContactID)
			attributes = append(attributes, r.Event.Attributes)
		}
	}
	body := func(e *schemas.Contact) []byte { return e.Body }
	return insert(ctx, w, "contacts", contactColumns, batches, body, tenants, times, ids, attributes, allTrue(n))
}

func count[E any](batches []schemas.Batch[E]) (records int) {
	for _, b := range batches {
		records += len(b.Records)
	}
	return records
}

// insert sends one block, column by column.
//
// It has no deduplication token, and ClickHouse's own deduplication of blocks is off
// (see tables.Database.Insert): both compare what was once inserted, not what is stored now. So rows
// that ClickHouse had lost, read again from Kafka and cut into the same batch, were
// dropped without an error. The sorting key alone makes an insert idempotent.
func insert[E any](ctx context.Context, w *Warehouse, table string, columns []clickhouse.ColumnNameAndType, batches []schemas.Batch[E], body func(E) []byte, leading ...any) error {
	n := count(batches)
	if n == 0 {
		return nil
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithColumnNamesAndTypes(columns))
	return w.db.Insert(ctx, table, strings.Join(names, ", "), func(block driver.Batch) error {
		return fill(block, batches, body, leading)
	})
}

// fill puts the leading columns into the block, and then the bodies and positions.
func fill[E any](block driver.Batch, batches []schemas.Batch[E], body func(E) []byte, leading []any) error {
	n := count(batches)
	sizes, partitions, offsets, published := make([]uint32, 0, n), make([]int32, 0, n), make([]int64, 0, n), make([]time.Time, 0, n)
	lines := block.Column(len(leading))
	for _, b := range batches {
		for _, r := range b.Records {
			line := body(r.Event)
			if line == nil { // an event made in Go rather than read
				encoded, err := schemas.Encode(r.Event)
				if err != nil {
					return err
				}
				line = encoded
			}
			if err := lines.AppendRow(line); err != nil { // bytes, not a copy as a string
				return fmt.Errorf("body: %w", err)
			}
			// The line feed that ends a line of an export counts.
			sizes, partitions, offsets = append(sizes, uint32(len(line)+1)), append(partitions, r.Partition), append(offsets, r.Offset)
			published = append(published, r.Time.Time)
		}
	}
	for i, column := range leading {
		if err := appendColumn(block.Column(i), column); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	for i, column := range []any{sizes, partitions, offsets, published} {
		if err := block.Column(len(leading) + 1 + i).Append(column); err != nil {
			return fmt.Errorf("column %d: %w", len(leading)+2+i, err)
		}
	}
	return nil
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
