package pipelinetest

import (
	"context"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Extent is Source's.
func (w *Warehouse) Extent(ctx context.Context, q warehouse.Query) (warehouse.Extent, error) {
	return w.source(q.Filter.TenantID, q.Filter.Entity).Extent(ctx, q)
}

// Chunks is Source's.
func (w *Warehouse) Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	return w.source(q.Filter.TenantID, q.Filter.Entity).Chunks(ctx, q, n, each)
}

// Rows is Source's.
func (w *Warehouse) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	return w.source(q.Filter.TenantID, q.Filter.Entity).Rows(ctx, q, first, last)
}

// Attached is Source's.
func (w *Warehouse) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	return w.source(q.Filter.TenantID, q.Filter.Entity).Attached(ctx, q, first, last, each)
}

// AttachmentSizes is Source's.
func (w *Warehouse) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	return w.source(q.Filter.TenantID, q.Filter.Entity).AttachmentSizes(ctx, q, first, last, each)
}

// ErasedUntil is Source's.
func (w *Warehouse) ErasedUntil(ctx context.Context, tenantID, entity string, from time.Time) (until time.Time, erased bool, err error) {
	return w.source(tenantID, entity).ErasedUntil(ctx, tenantID, entity, from)
}

// CountRemoved is Source's.
func (w *Warehouse) CountRemoved(ctx context.Context, q warehouse.Query) (int64, error) {
	return w.source(q.Filter.TenantID, q.Filter.Entity).CountRemoved(ctx, q)
}

// Removed is Source's.
func (w *Warehouse) Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	return w.source(q.Filter.TenantID, q.Filter.Entity).Removed(ctx, q, first, last, each)
}
