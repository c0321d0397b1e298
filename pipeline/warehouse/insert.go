package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/schemas"
)

// InsertInteractions stores a batch: all of it or an error. Inserting the same
// records again, in this or other batches, changes nothing a reader sees.
func (w *Warehouse) InsertInteractions(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error {
	n := len(b.Records)
	var (
		tenants, ids, media, directions = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		statuses, queues, contacts      = make([]string, n), make([]string, n), make([]string, n)
		times                           = make([]time.Time, n)
	)
	for i, r := range b.Records {
		e := r.Event
		tenants[i], times[i], ids[i] = e.TenantID, e.StartedAt.Time, e.InteractionID
		media[i], directions[i], statuses[i] = e.MediaType, e.Direction, e.Status
		queues[i], contacts[i] = e.Queue, e.ContactID
	}
	bodies, err := bodiesOf(b, func(e *schemas.Interaction) []byte { return e.Body })
	if err != nil {
		return err
	}
	const columns = "tenant_id, started_at, interaction_id, media_type, direction, status, queue, contact_id"
	return insert(ctx, w, "interactions", columns, b, bodies, tenants, times, ids, media, directions, statuses, queues, contacts)
}

// InsertContacts stores a batch under the same contract as InsertInteractions.
func (w *Warehouse) InsertContacts(ctx context.Context, b schemas.Batch[*schemas.Contact]) error {
	n := len(b.Records)
	tenants, ids, times := make([]string, n), make([]string, n), make([]time.Time, n)
	for i, r := range b.Records {
		tenants[i], times[i], ids[i] = r.Event.TenantID, r.Event.CreatedAt.Time, r.Event.ContactID
	}
	bodies, err := bodiesOf(b, func(e *schemas.Contact) []byte { return e.Body })
	if err != nil {
		return err
	}
	return insert(ctx, w, "contacts", "tenant_id, created_at, contact_id", b, bodies, tenants, times, ids)
}

func bodiesOf[E any](b schemas.Batch[E], body func(E) []byte) ([]string, error) {
	bodies := make([]string, len(b.Records))
	for i, r := range b.Records {
		line := body(r.Event)
		if line == nil { // an event made in Go rather than read
			encoded, err := schemas.Encode(r.Event)
			if err != nil {
				return nil, err
			}
			line = encoded
		}
		bodies[i] = string(line)
	}
	return bodies, nil
}

// insert sends one block, column by column. Its deduplication token makes
// ClickHouse drop a block that was stored although the answer got lost; the
// sorting key covers batches cut differently the second time.
func insert[E any](ctx context.Context, w *Warehouse, table, columns string, b schemas.Batch[E], bodies []string, leading ...any) error {
	if len(b.Records) == 0 {
		return nil
	}
	sizes, partitions, offsets := make([]uint32, len(bodies)), make([]int32, len(bodies)), make([]int64, len(bodies))
	for i, r := range b.Records {
		// The line feed that ends a line of an export counts.
		sizes[i], partitions[i], offsets[i] = uint32(len(bodies[i])+1), r.Partition, r.Offset
	}
	ctx = withSettings(ctx, clickhouse.Settings{
		"insert_deduplication_token": fmt.Sprintf("%s/%d/%d-%d", b.Topic, b.Partition, b.First, b.Next),
		// History spans as many months as it spans; one batch may touch them all.
		"max_partitions_per_insert_block": 0,
	})
	batch, err := w.conn.PrepareBatch(ctx, fmt.Sprintf("INSERT INTO %s (%s, body, body_bytes, source_partition, source_offset)", table, columns))
	if err != nil {
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	for i, column := range append(leading, bodies, sizes, partitions, offsets) {
		if err := batch.Column(i).Append(column); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("insert into %s, column %d: %w", table, i+1, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", len(bodies), table, err)
	}
	return nil
}

// RecordDeadLetters notes positions and reasons of dead letters. Recording one
// again changes nothing.
func (w *Warehouse) RecordDeadLetters(ctx context.Context, letters []schemas.DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	batch, err := w.conn.PrepareBatch(ctx, "INSERT INTO dead_letters (topic, source_partition, source_offset, code, reason)")
	if err != nil {
		return fmt.Errorf("insert into dead_letters: %w", err)
	}
	for _, l := range letters {
		if err := batch.Append(string(l.Topic), l.Partition, l.Offset, l.Code, l.Reason); err != nil {
			_ = batch.Abort()
			return fmt.Errorf("insert into dead_letters: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert into dead_letters: %w", err)
	}
	return nil
}
