// Package audit keeps the audit trail: the handler between cdds.audit and its table.
package audit

import (
	"context"
	"fmt"
	"time"

	"cdds/schemas"
)

// The shape of batches that suits the audit trail: few events, read by people.
const (
	MaxRecords = 1000
	Linger     = 20 * time.Millisecond
)

// Store keeps audit records. InsertAudit stores the whole batch or returns an error,
// and storing a record again changes nothing.
type Store interface {
	InsertAudit(ctx context.Context, b schemas.Batch[*schemas.AuditRecord]) error
}

// Handler stores audit records; it is a consumers.Handler.
type Handler struct{ store Store }

// New makes the handler of cdds.audit.
func New(store Store) *Handler { return &Handler{store} }

// Handle stores the batch. Its errors are the store's.
func (h *Handler) Handle(ctx context.Context, b schemas.Batch[*schemas.AuditRecord]) error {
	if err := h.store.InsertAudit(ctx, b); err != nil {
		return fmt.Errorf("keep %d audit records: %w", len(b.Records), err)
	}
	return nil
}
