package pipeline

import (
	"context"
	"errors"
	"time"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Standing is what the store itself says of an export, whatever history and events say.
type Standing struct {
	// Accepted is nil unless the store proves that an export of this id was accepted.
	Accepted *Acceptance
	// Manifest is nil unless one of this export is stored. It is without its parts; see Receipts.
	Manifest *schemas.Manifest
	// Ended is how it ended, or "".
	Ended schemas.State
	// Cancelled says that nothing of it may stay.
	Cancelled bool
}

// Standing reads the documents that decide what an export is.
func (d Decisions) Standing(ctx context.Context, tenantID, exportID string) (s Standing, err error) {
	a, found, err := d.Accepted(ctx, tenantID, exportID)
	if err != nil {
		return s, err
	}
	if found && a.Digest != "" {
		s.Accepted = &a
	}
	m, err := d.manifest(ctx, tenantID, exportID, nil)
	if err != nil && !errors.Is(err, bucket.ErrNotFound) {
		return s, err
	}
	if err == nil && m.TenantID == tenantID && m.ExportID == exportID {
		s.Manifest = &m.Manifest
	}
	if s.Ended, err = d.Ended(ctx, tenantID, exportID); err != nil {
		return s, err
	}
	s.Cancelled, err = d.Cancelled(ctx, tenantID, exportID)
	return s, err
}

// Receipts gives each the parts that the stored manifest of an export lists, one after the other,
// and ends with its error. Without a manifest it is bucket.ErrNotFound.
func (d Decisions) Receipts(ctx context.Context, tenantID, exportID string, each func(schemas.Receipt) error) error {
	_, err := d.manifest(ctx, tenantID, exportID, each)
	return err
}

// Over reports whether at now the time of the artifacts is over: at the instant the
// manifest names; without one, when lifetime has passed since the export was accepted.
// Without either nothing says so.
func (s Standing) Over(now time.Time, lifetime time.Duration) bool {
	switch {
	case s.Manifest != nil:
		return !s.Manifest.ExpiresAt.IsZero() && !now.Before(s.Manifest.ExpiresAt.Time)
	case s.Accepted != nil:
		return !s.Accepted.AcceptedAt.IsZero() && !now.Before(s.Accepted.AcceptedAt.Add(lifetime))
	}
	return false
}

// Completed reports whether the store proves that the export was completed.
func (s Standing) Completed() bool { return s.Manifest != nil || s.Ended == schemas.Completed }
