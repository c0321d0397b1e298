package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// InsertStatus stores status events, each with its position. Storing one again changes
// nothing.
func (w *Warehouse) InsertStatus(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	if len(b.Records) == 0 {
		return nil
	}
	return w.insertBlock(ctx, "export_events", "tenant_id, export_id, event_id, state, time, body, source_partition, source_offset, position_partition, position_offset", func(block driver.Batch) error {
		for _, r := range b.Records {
			s := r.Event
			body, err := schemas.Encode(s)
			if err == nil {
				err = block.Append(s.TenantID, s.ExportID, s.EventID, string(s.State), s.Time.Time, string(body), r.Partition, r.Offset, r.Partition, r.Offset)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// StatusEvents returns every event of an export in no particular order, those that were
// published again included.
func (w *Warehouse) StatusEvents(ctx context.Context, tenantID, exportID string) ([]*schemas.ExportStatus, error) {
	return decoded[*schemas.ExportStatus](ctx, w, "events of an export",
		"SELECT body FROM export_events FINAL WHERE tenant_id = {tenant:String} AND export_id = {export:String}",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("export", exportID))
}

// StoredTimes returns when each of an export's first parts was stored, by part number:
// the parts from 1 up to at most limit, and of those the ones that are stored.
func (w *Warehouse) StoredTimes(ctx context.Context, tenantID, exportID string, limit int) (map[int]schemas.Time, error) {
	rows, err := w.conn.Query(ctx, `
SELECT event_id, min(time) FROM export_events
WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND event_id BETWEEN {first:String} AND {last:String}
GROUP BY event_id`,
		clickhouse.Named("tenant", tenantID), clickhouse.Named("export", exportID),
		clickhouse.Named("first", schemas.PartEventID(1)), clickhouse.Named("last", schemas.PartEventID(limit)))
	if err != nil {
		return nil, fmt.Errorf("read when parts were stored: %w", err)
	}
	times := make(map[int]schemas.Time)
	for rows.Next() {
		var event string
		var at time.Time
		var number int
		if err := rows.Scan(&event, &at); err != nil {
			return nil, errors.Join(fmt.Errorf("read when parts were stored: %w", err), rows.Close())
		}
		if _, err := fmt.Sscanf(event, "part/%d", &number); err == nil {
			times[number] = schemas.TimeOf(at)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read when parts were stored: %w", err)
	}
	return times, nil
}

// SaveExports replaces what history says of exports, and lists their artifacts. Of
// two folds of the same export the one of more events stays, in whatever order
// they are saved.
func (w *Warehouse) SaveExports(ctx context.Context, exports []schemas.Export) error {
	if len(exports) == 0 {
		return nil
	}
	// Artifacts first: once history says completed, they are listed.
	if err := w.saveArtifacts(ctx, exports); err != nil {
		return err
	}
	return w.insertBlock(ctx, "exports", "tenant_id, export_id, entity, state, requested_at, updated_at, rows_done, rows_planned, body, summary, version", func(block driver.Batch) error {
		for _, e := range exports {
			entity := ""
			if e.Request != nil {
				entity = e.Request.Entity
			}
			body, err := schemas.Encode(e)
			listed := e
			listed.Parts = nil
			summary, failed := schemas.Encode(listed)
			if err = errors.Join(err, failed); err == nil {
				err = block.Append(e.TenantID, e.ExportID, entity, string(e.State), e.RequestedAt.Time, e.UpdatedAt.Time,
					uint64(e.Done.Rows), uint64(e.Planned.Rows), string(body), string(summary), uint64(e.Events))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *Warehouse) saveArtifacts(ctx context.Context, exports []schemas.Export) error {
	return w.insertBlock(ctx, "artifacts", "tenant_id, export_id, name, kind, object_key, part, rows, size, sha256, created_at, expires_at, removed_at, version", func(block driver.Batch) error {
		for _, e := range exports {
			for _, a := range Artifacts(e) {
				err := block.Append(e.TenantID, e.ExportID, a.Name, a.Kind, a.Key, uint32(a.Part), uint64(a.Rows), uint64(a.Size), a.SHA256,
					a.CreatedAt.Time, nullable(a.ExpiresAt), nullable(a.RemovedAt), uint64(e.Events))
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Export returns where one export stands; false if history does not know it.
func (w *Warehouse) Export(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	found, err := decoded[schemas.Export](ctx, w, "an export",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND export_id = {export:String}",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("export", exportID))
	if err != nil || len(found) == 0 {
		return schemas.Export{}, false, err
	}
	return found[0], true, nil
}

// Exports returns a tenant's exports in a state, or in any if it is empty: the latest
// first, at most limit.
func (w *Warehouse) Exports(ctx context.Context, tenantID string, state schemas.State, limit int) ([]schemas.Export, error) {
	return decoded[schemas.Export](ctx, w, "exports",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND ({state:String} = '' OR state = {state:String}) ORDER BY requested_at DESC, export_id LIMIT {limit:UInt32}",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("state", string(state)), clickhouse.Named("limit", uint32(limit)))
}

// decoded runs a query of one String column and decodes each row from JSON.
func decoded[T any](ctx context.Context, w *Warehouse, what, sql string, args ...any) (all []T, err error) {
	err = eachDecoded(ctx, w, what, func(v T) error { all = append(all, v); return nil }, sql, args...)
	return all, err
}

// eachDecoded is decoded that hands each over as it comes.
func eachDecoded[T any](ctx context.Context, w *Warehouse, what string, each func(T) error, sql string, args ...any) error {
	rows, err := w.conn.Query(ctx, strings.TrimSpace(sql), args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	for rows.Next() {
		var body string
		var v T
		err := rows.Scan(&body)
		if err == nil {
			err = schemas.Read([]byte(body), &v)
		}
		if err == nil {
			err = each(v)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read %s: %w", what, err), rows.Close())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}
