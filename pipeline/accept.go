package pipeline

import (
	"context"
	"errors"
	"fmt"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Acceptance is the stored decision which request an export id stands for, and
// between which points.
type Acceptance struct {
	// Digest is schemas.ExportRequest.Digest of the accepted request.
	Digest string `json:"digest"`
	// Request is what a retry carries out.
	Request  *schemas.ExportRequest `json:"request"`
	Snapshot schemas.Snapshot       `json:"snapshot"`
	// Since is the snapshot of the export this one continues, or nil.
	Since schemas.Snapshot `json:"since,omitempty"`
	// HistoryFrom is before when rows of the tenant were kept no longer, if any.
	HistoryFrom *schemas.Time `json:"history_from,omitempty"`
	AcceptedAt  schemas.Time  `json:"accepted_at"`
	// Certificates are the recipients' in PEM, so that every part is sealed for the same
	// ones although the registered ones change; none in what earlier versions stored.
	Certificates []string `json:"certificates,omitempty"`
}

// From is HistoryFrom, or the zero time.
func (a Acceptance) From() schemas.Time {
	if a.HistoryFrom == nil {
		return schemas.Time{}
	}
	return *a.HistoryFrom
}

// ErrConflict says that the export id stands for another request.
var ErrConflict = errors.New("the export id is already used by a request with different content; choose another id")

// Accept records the request under its id with the snapshots and certificates that take
// returns, or returns what was recorded when it was accepted before. It is ErrConflict if the
// id stands for a request with another digest.
func (e *Exporter) Accept(ctx context.Context, r *schemas.ExportRequest, take func() (Acceptance, error)) (Acceptance, error) {
	var a Acceptance
	_, err := once(ctx, e.store, schemas.ExportPrefix(r.TenantID, r.ExportID)+acceptedName, &a, func() (Acceptance, error) {
		taken, err := take()
		taken.Digest, taken.Request, taken.AcceptedAt = r.Digest(), r, schemas.TimeOf(e.now())
		return taken, err
	})
	if err == nil && a.Digest != r.Digest() {
		return a, Permanent(ErrConflict)
	}
	return a, err
}

// Accepted returns what was recorded when the export was accepted; false if it never
// was.
func (e *Exporter) Accepted(ctx context.Context, tenantID, exportID string) (a Acceptance, found bool, err error) {
	found, err = e.read(ctx, schemas.ExportPrefix(tenantID, exportID)+acceptedName, &a)
	return a, found, err
}

// read decodes a stored document; false if there is none.
func (e *Exporter) read(ctx context.Context, key string, v any) (bool, error) {
	content, err := e.store.GetBytes(ctx, key, maxDocument)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decodeDocument(key, content, v)
}

func (e *Exporter) exists(ctx context.Context, key string) (bool, error) {
	_, err := e.store.Stat(ctx, key)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return true, nil
}
