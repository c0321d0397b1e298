package warehouse

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"cdds/schemas"
)

// Extent is how much a query selects.
type Extent struct {
	Rows int64
	// Bytes is the size of the rows' JSON Lines, Largest that of the largest line.
	Bytes, Largest int64
	// Attached is how many of the rows have attachments.
	Attached int64
	// Scattered says that versions of one row lie in several partitions.
	Scattered bool
	// Versions is that of all chunks.
	Versions uint64
}

// Extent returns how much the query selects, and whether it must be asked as Scattered, or
// ErrUnstated. It is computed independently of Chunks, so that the two together prove that neither was cut
// short. It depends on the snapshots alone, not on how far ClickHouse has merged.
func (w *Warehouse) Extent(ctx context.Context, q Query) (Extent, error) {
	t, err := tableOf(q.Filter.Entity)
	if err != nil {
		return Extent{}, err
	}
	e, scattered, err := w.extent(ctx, q, t)
	if err == nil && scattered {
		q.Scattered = true
		e, _, err = w.extent(ctx, q, t)
	}
	if err != nil {
		return Extent{}, fmt.Errorf("extent of the export in %s: %w", t.name, err)
	}
	e.Scattered = q.Scattered
	return e, w.checkAttributes(ctx, q, t)
}

// extent counts what the query selects, and tells whether more versions are the newest of
// their partition than there are rows.
func (w *Warehouse) extent(ctx context.Context, q Query, t table) (e Extent, scattered bool, err error) {
	columns := []string{"body_bytes", t.attached() + " AS with_files", versionOf + " AS version"}
	newest := q.within(t, columns, false, "source_partition")
	decided := q.Scattered || q.Before != nil // which partition's version counts
	if decided {
		newest = q.newestOfAll(t, columns...)
	}
	arguments := func() []any { return q.arguments(schemas.RowKey{Time: q.Filter.From}, nil) }
	var versions, rows int64
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		sql := "SELECT toInt64(count()), toInt64(countIf(passes)), toInt64(sumIf(body_bytes, passes)), toInt64(maxIf(body_bytes, passes)), toInt64(sumIf(with_files, passes)), sumIf(version, passes) FROM (" + newest + ")"
		return w.db.Scan(ctx, "count rows", sql, arguments(), &versions, &e.Rows, &e.Bytes, &e.Largest, &e.Attached, &e.Versions)
	})
	if !decided {
		both.Go(func() error {
			any := Query{Filter: q.Filter, Snapshot: q.Snapshot}
			any.Filter.MediaTypes, any.Filter.Queues, any.Filter.Directions, any.Filter.Statuses, any.Filter.Attributes = nil, nil, nil, nil, nil
			return w.db.Scan(ctx, "count ids", "SELECT toInt64(count()) FROM ("+any.newestOfAll(t, "1")+")", arguments(), &rows)
		})
	}
	err = both.Wait()
	return e, !decided && versions > rows, err
}
