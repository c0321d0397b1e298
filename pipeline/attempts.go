package pipeline

import (
	"context"
	"fmt"
	"time"

	"cdds/schemas"
)

// maxAttempts bounds how often one export is retried.
const maxAttempts = 1000

// Attempts returns the number of the last attempt, which is 1 before any retry, and that of
// the one that the message at from began, 0 if it began none.
func (d Decisions) Attempts(ctx context.Context, tenantID, exportID string, from Origin) (last, begun int, err error) {
	for last = 1; last < maxAttempts; last++ {
		var began Origin
		found, err := d.read(ctx, schemas.ExportPrefix(tenantID, exportID)+attemptName(last+1), &began)
		if err != nil || !found {
			return last, begun, err
		}
		if began == from {
			begun = last + 1
		}
	}
	return last, begun, nil
}

// BeginAttempt records that the message at from begins the attempt after last, and returns
// the number of the one it began: another, if another message was first.
func (d Decisions) BeginAttempt(ctx context.Context, tenantID, exportID string, last int, from Origin) (int, error) {
	for n := last + 1; n <= maxAttempts; n++ {
		var began Origin
		_, err := once(ctx, d.Store, schemas.ExportPrefix(tenantID, exportID)+attemptName(n), &began, func() (Origin, error) { return from, nil })
		if err != nil || began == from {
			return n, err
		}
	}
	return 0, Permanent(fmt.Errorf("the export was tried %d times; ask for it under another id", maxAttempts))
}

// withinQuota is the stored decision whether an attempt may begin, for a tenant whose bytes are
// bounded.
type withinQuota struct {
	// Over is why not; empty if it may.
	Over string `json:"over,omitempty"`
	// At is when it began, or would have.
	At schemas.Time `json:"at"`
}

// WithinQuota decides once whether and when an attempt may begin. It returns when, or why
// not. It calls over only for an attempt that is not decided yet.
func (d Decisions) WithinQuota(ctx context.Context, tenantID, exportID string, attempt int, over func(at time.Time) (string, error)) (reason string, at schemas.Time, err error) {
	var within withinQuota
	_, err = once(ctx, d.Store, schemas.ExportPrefix(tenantID, exportID)+quotaName(attempt), &within, func() (withinQuota, error) {
		at := schemas.TimeOf(d.Now())
		reason, err := over(at.Time)
		return withinQuota{reason, at}, err
	})
	return within.Over, within.At, err
}

// Fail records why an attempt was given up, unless the export has ended, and returns the
// reason that counts, or else how it ended. A failure that cannot be recorded does not count.
func (d Decisions) Fail(ctx context.Context, tenantID, exportID string, attempt int, failure schemas.Failure) (*schemas.Failure, schemas.State, error) {
	state, err := d.Ended(ctx, tenantID, exportID)
	if err != nil || state != "" {
		return nil, state, err
	}
	_, err = once(ctx, d.Store, schemas.ExportPrefix(tenantID, exportID)+failedName(attempt), &failure, func() (schemas.Failure, error) { return failure, nil })
	return &failure, "", err
}

// Failed returns why an attempt was given up; nil if it was not.
func (d Decisions) Failed(ctx context.Context, tenantID, exportID string, attempt int) (*schemas.Failure, error) {
	failure := new(schemas.Failure)
	found, err := d.read(ctx, schemas.ExportPrefix(tenantID, exportID)+failedName(attempt), failure)
	if err != nil || !found {
		return nil, err
	}
	return failure, nil
}

// GivenUp reports whether the last attempt at an export failed, so that nobody works on it.
func (d Decisions) GivenUp(ctx context.Context, tenantID, exportID string) (bool, error) {
	last, _, err := d.Attempts(ctx, tenantID, exportID, Origin{Partition: -1})
	if err != nil {
		return false, err
	}
	failure, err := d.Failed(ctx, tenantID, exportID, last)
	return failure != nil, err
}
