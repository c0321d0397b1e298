package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// InsertStatus stores status events, each with its position. Storing one again changes
// nothing.
func (l *Ledger) InsertStatus(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	if len(b.Records) == 0 {
		return nil
	}
	const columns = "tenant_id, export_id, event_id, state, time, body, source_partition, source_offset, position_partition, position_offset, attempt, part, part_totals"
	return l.db.Insert(ctx, "export_events", columns, func(block driver.Batch) error {
		for _, r := range b.Records {
			s := r.Event
			body, err := schemas.Encode(s)
			if err != nil {
				return err
			}
			part, totals := 0, []int64{}
			if s.StoresPart() {
				part, totals = s.Part.Number, schemas.Total([]schemas.Receipt{*s.Part}).Numbers()
			}
			err = block.Append(s.TenantID, s.ExportID, s.EventID, string(s.State), s.Time.Time, string(body), r.Partition, r.Offset, r.Partition, r.Offset,
				uint32(max(s.Attempt, 1)), uint32(part), totals)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// StatusEvents returns the events of an export, in no particular order and perhaps repeatedly:
// all but those that store a part, of which it returns those of some parts and the tally of
// the others.
func (l *Ledger) StatusEvents(ctx context.Context, tenantID, exportID string, parts ...int) ([]*schemas.ExportStatus, schemas.Tally, error) {
	var others schemas.Tally
	numbers := make([]uint32, len(parts))
	for i, n := range parts {
		numbers[i] = uint32(n)
	}
	args := []any{tables.Named("tenant", tenantID), tables.Named("export", exportID), tables.Named("parts", numbers)}
	err := l.db.Each(ctx, "add up stored parts of an export", `
SELECT first.3 AS attempt, max(first.1), sumForEach(first.2)
FROM (
  SELECT min((time, part_totals, attempt)) AS first FROM export_events
  WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND part > 0 AND part NOT IN (SELECT arrayJoin({parts:Array(UInt32)}))
  GROUP BY part)
GROUP BY attempt`, args, func(rows driver.Rows) error {
		var attempt uint32
		var last time.Time
		var totals []int64
		err := rows.Scan(&attempt, &last, &totals)
		others.Add(int(attempt), schemas.TimeOf(last), schemas.TotalsFrom(totals))
		return err
	})
	if err != nil {
		return nil, others, err
	}
	events, err := tables.Decoded[*schemas.ExportStatus](ctx, l.db, "read events of an export", `
SELECT body FROM export_events
WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND (part = 0 OR part IN (SELECT arrayJoin({parts:Array(UInt32)})))`, args...)
	return events, others, err
}

// StoredTimes returns when each of an export's first parts was stored, by part number:
// the parts from 1 up to at most limit, and of those the ones that are stored.
func (l *Ledger) StoredTimes(ctx context.Context, tenantID, exportID string, limit int) (map[int]schemas.Time, error) {
	times := make(map[int]schemas.Time)
	err := l.db.Each(ctx, "read when parts were stored", `
SELECT event_id, min(time) FROM export_events
WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND event_id BETWEEN {first:String} AND {last:String}
GROUP BY event_id`,
		[]any{
			tables.Named("tenant", tenantID), tables.Named("export", exportID),
			tables.Named("first", schemas.PartEventID(1)), tables.Named("last", schemas.PartEventID(limit)),
		},
		func(rows driver.Rows) error {
			var event string
			var at time.Time
			var number int
			if err := rows.Scan(&event, &at); err != nil {
				return err
			}
			if _, err := fmt.Sscanf(event, "part/%d", &number); err == nil {
				times[number] = schemas.TimeOf(at)
			}
			return nil
		})
	return times, err
}

// Parts returns the parts of an export that are stored, those with a number after the given
// one, in order, at most limit.
func (l *Ledger) Parts(ctx context.Context, tenantID, exportID string, after, limit int) ([]schemas.Receipt, error) {
	parts := make([]schemas.Receipt, 0, limit)
	err := tables.EachDecoded(ctx, l.db, "read parts of an export", func(s schemas.ExportStatus) error {
		if s.Part != nil {
			parts = append(parts, *s.Part)
		}
		return nil
	}, `
SELECT body FROM export_events
WHERE tenant_id = {tenant:String} AND export_id = {export:String} AND event_id > {after:String} AND event_id <= {last:String} AND part > 0
ORDER BY event_id, time, part_totals, attempt LIMIT 1 BY event_id LIMIT {limit:UInt32}`,
		tables.Named("tenant", tenantID), tables.Named("export", exportID), tables.Named("limit", uint32(limit)),
		tables.Named("after", schemas.PartEventID(after)), tables.Named("last", schemas.PartEventID(schemas.MaxParts)))
	return parts, err
}

// EachPart calls each with every stored part of some exports, by tenant, export and number. It
// chooses between publications of one fact as schemas.Fold does.
func (l *Ledger) EachPart(ctx context.Context, exports [][2]string, each func(export [2]string, r schemas.Receipt) error) error {
	for some := range tables.Fitting(exports, func(id [2]string) int { return len(id[0]) + len(id[1]) }) {
		tenants, ids := make([]string, len(some)), make([]string, len(some))
		for n, id := range some {
			tenants[n], ids[n] = id[0], id[1]
		}
		err := tables.EachDecoded(ctx, l.db, "read parts of exports", func(s schemas.ExportStatus) error {
			return each([2]string{s.TenantID, s.ExportID}, *s.Part)
		}, `
SELECT body FROM export_events
WHERE (tenant_id, export_id) IN (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {exports:Array(String)}))) AND part > 0
ORDER BY tenant_id, export_id, event_id, time, part_totals, attempt LIMIT 1 BY tenant_id, export_id, event_id`,
			tables.Named("tenants", tenants), tables.Named("exports", ids))
		if err != nil {
			return err
		}
	}
	return nil
}
