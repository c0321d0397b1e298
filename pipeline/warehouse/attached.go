package warehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Attached calls each with every row between two inclusive keys that has attachments, in
// export order: VersionOf it, and its JSON without a line feed, until each returns. Of other
// rows it reads no body.
func (w *Warehouse) Attached(ctx context.Context, q Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return err
	}
	task := "read attachments of " + t.name
	rows, err := w.db.Lines(ctx, task, q.bodies(t, t.attached()), q.arguments(first, &last)...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var body []byte
	for {
		var version uint64
		version, body, err = rows.Row(body)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", task, err)
		}
		if err := each(version, body); err != nil {
			return err
		}
	}
}

// bodies selects the bodies of rows between two inclusive keys for which a condition holds,
// in order. Which version counts is decided by the key columns, and only then are bodies
// looked up: an older version must not come back.
func (q Query) bodies(t table, condition string) string {
	return fmt.Sprintf(`
SELECT %[6]s AS version, body FROM %[1]s
WHERE tenant_id = {tenant:String} AND %[2]s
  AND %[3]s >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND %[3]s <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
  AND (%[3]s, %[4]s, source_offset, source_partition) IN (SELECT t, id, at_offset, at_partition FROM (%[5]s) WHERE passes AND wanted)
ORDER BY %[3]s, %[4]s, stated DESC
LIMIT 1 BY %[3]s, %[4]s`, t.name, condition, t.time, t.id,
		q.newest(t, condition+" AS wanted", "source_offset AS at_offset", "source_partition AS at_partition"), versionOf)
}

// AttachmentSizes calls each with the key of every row between two inclusive keys that
// has attachments, in export order, VersionOf it and the bytes of each of them. It reads no body; sizes
// are none for a row whose ingest did not state them. An answer that is cut short may be
// taken for a whole one: Extent says how many rows there are.
func (w *Warehouse) AttachmentSizes(ctx context.Context, q Query, first, last schemas.RowKey, each func(key schemas.RowKey, version uint64, sizes []uint64)) error {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return err
	}
	sql := fmt.Sprintf("SELECT t, id, version, attachment_bytes FROM (%s) WHERE passes AND with_files",
		q.newest(t, t.attached()+" AS with_files", versionOf+" AS version", "attachment_bytes"))
	return w.db.Each(ctx, "read sizes of attachments of "+t.name, sql, q.arguments(first, &last), func(rows driver.Rows) error {
		var at time.Time
		var key schemas.RowKey
		var version uint64
		var sizes []uint64
		if err := rows.Scan(&at, &key.ID, &version, &sizes); err != nil {
			return err
		}
		key.Time = schemas.TimeOf(at)
		each(key, version, sizes)
		return nil
	})
}

// ErasableBodies calls each with every version with attachments that an erasure is
// about, so that what they refer to can be removed before they are.
func (w *Warehouse) ErasableBodies(ctx context.Context, e schemas.Erasure, each func(body string) error) error {
	t := erasable[0]
	return w.db.Each(withAged(ctx), "look for attachments to erase",
		fmt.Sprintf("SELECT body FROM %s WHERE tenant_id = {tenant:String} AND %s AND %s AND %s", t.name, t.attached(), t.below(), t.about(e)), eraseArguments(e),
		func(rows driver.Rows) error {
			var body string
			if err := rows.Scan(&body); err != nil {
				return err
			}
			return each(body)
		})
}
