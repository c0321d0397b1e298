package warehouse

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Attached streams the rows between two inclusive keys that have attachments, as Rows
// does. Of other rows it reads no body.
func (w *Warehouse) Attached(ctx context.Context, q Query, first, last schemas.RowKey) (io.ReadCloser, error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return nil, err
	}
	return w.db.Lines(ctx, "read attachments of "+t.name, q.bodies(t, t.attached()), q.arguments(first, &last)...)
}

// bodies selects the bodies of rows between two inclusive keys for which a condition holds,
// in order. Which version counts is decided by the key columns, and only then are bodies
// looked up: an older version must not come back.
func (q Query) bodies(t table, condition string) string {
	return fmt.Sprintf(`
SELECT body FROM %[1]s
WHERE tenant_id = {tenant:String} AND %[2]s
  AND %[3]s >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND %[3]s <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
  AND (%[3]s, %[4]s, source_offset, source_partition) IN (SELECT t, id, at_offset, at_partition FROM (%[5]s) WHERE passes AND wanted)
ORDER BY %[3]s, %[4]s, stated DESC
LIMIT 1 BY %[3]s, %[4]s`, t.name, condition, t.time, t.id,
		q.newest(t, condition+" AS wanted", "source_offset AS at_offset", "source_partition AS at_partition"))
}

// AttachmentSizes calls each with the key of every row between two inclusive keys that
// has attachments, in export order, and the bytes of each of them. It reads no body; sizes
// are none for a row whose ingest did not state them. An answer that is cut short may be
// taken for a whole one: Extent says how many rows there are.
func (w *Warehouse) AttachmentSizes(ctx context.Context, q Query, first, last schemas.RowKey, each func(key schemas.RowKey, sizes []uint64)) error {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return err
	}
	sql := fmt.Sprintf("SELECT t, id, attachment_bytes FROM (%s) WHERE passes AND with_files",
		q.newest(t, t.attached()+" AS with_files", "attachment_bytes"))
	return w.db.Each(ctx, "read sizes of attachments of "+t.name, sql, q.arguments(first, &last), func(rows driver.Rows) error {
		var at time.Time
		var key schemas.RowKey
		var sizes []uint64
		if err := rows.Scan(&at, &key.ID, &sizes); err != nil {
			return err
		}
		key.Time = schemas.TimeOf(at)
		each(key, sizes)
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
