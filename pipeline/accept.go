package pipeline

import (
	"context"
	"errors"
	"fmt"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Acceptance is the stored decision which request an export id stands for, and as
// of which point.
type Acceptance struct {
	// Digest is schemas.ExportRequest.Digest of the accepted request.
	Digest     string           `json:"digest"`
	Snapshot   schemas.Snapshot `json:"snapshot"`
	AcceptedAt schemas.Time     `json:"accepted_at"`
}

// ErrConflict says that the export id stands for another request.
var ErrConflict = errors.New("the export id is already used by a request with different content; choose another id")

// Accept records the request under its id with the snapshot that take returns, or
// returns what was recorded when it was accepted before. It is ErrConflict if the
// id stands for a request with another digest.
func (e *Exporter) Accept(ctx context.Context, r *schemas.ExportRequest, take func() (schemas.Snapshot, error)) (Acceptance, error) {
	var a Acceptance
	_, err := once(ctx, e.store, Prefix(r.TenantID, r.ExportID)+acceptedName, &a, func() (Acceptance, error) {
		snapshot, err := take()
		return Acceptance{r.Digest(), snapshot, schemas.TimeOf(e.now())}, err
	})
	if err == nil && a.Digest != r.Digest() {
		return a, Permanent(ErrConflict)
	}
	return a, err
}

// MarkCancelled records that the export is to end, for whatever worker has it.
func (e *Exporter) MarkCancelled(ctx context.Context, tenantID, exportID string) error {
	err := e.store.PutBytes(ctx, Prefix(tenantID, exportID)+cancelledName, []byte("{}"), schemas.ContentTypeJSON)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// Cancelled reports whether MarkCancelled was called for the export.
func (e *Exporter) Cancelled(ctx context.Context, tenantID, exportID string) (bool, error) {
	return e.exists(ctx, Prefix(tenantID, exportID)+cancelledName)
}

// Accepted reports whether the export id stands for a request.
func (e *Exporter) Accepted(ctx context.Context, tenantID, exportID string) (bool, error) {
	return e.exists(ctx, Prefix(tenantID, exportID)+acceptedName)
}

// Completed reports whether the export's manifest and signature are stored.
func (e *Exporter) Completed(ctx context.Context, tenantID, exportID string) (bool, error) {
	return e.exists(ctx, Prefix(tenantID, exportID)+schemas.SignatureName)
}

// Discard removes the artifacts of an export, the manifest first, so that nothing
// ever claims parts that are gone. What decides what the export was stays. It is
// safe to repeat.
func (e *Exporter) Discard(ctx context.Context, tenantID, exportID string) error {
	prefix := Prefix(tenantID, exportID)
	objects, err := e.store.List(ctx, prefix)
	if err != nil {
		return err
	}
	keys := []string{prefix + schemas.SignatureName, prefix + schemas.ManifestName}
	for _, o := range objects {
		switch o.Key {
		case prefix + acceptedName, prefix + planName, prefix + cancelledName, keys[0], keys[1]:
		default:
			keys = append(keys, o.Key)
		}
	}
	for _, key := range keys {
		if err := e.store.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
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
