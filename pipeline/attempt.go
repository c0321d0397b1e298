package pipeline

import (
	"context"
	"fmt"

	"cdds/schemas"
)

// Origin is the position of the retry that began an attempt, so that reading it
// again does not begin another.
type Origin struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// maxAttempts bounds how often one export is retried.
const maxAttempts = 1000

// AttemptOf returns the number of the attempt that origin began, 0 if it began none.
func (e *Exporter) AttemptOf(ctx context.Context, tenantID, exportID string, origin Origin) (int, error) {
	n, _, err := e.findAttempt(ctx, tenantID, exportID, origin)
	return n, err
}

// findAttempt also returns the number the next attempt would have.
func (e *Exporter) findAttempt(ctx context.Context, tenantID, exportID string, origin Origin) (mine, next int, err error) {
	for n := 2; n <= maxAttempts; n++ {
		var began Origin
		found, err := e.read(ctx, schemas.ExportPrefix(tenantID, exportID)+attemptName(n), &began)
		switch {
		case err != nil:
			return 0, 0, err
		case !found:
			return 0, n, nil
		case began == origin:
			return n, n, nil
		}
	}
	return 0, 0, Permanent(fmt.Errorf("the export was tried %d times; ask for it under another id", maxAttempts))
}

// BeginAttempt records the next attempt, begun by origin, and returns its number: 2
// or more. Attempt 1 is the request's own.
func (e *Exporter) BeginAttempt(ctx context.Context, tenantID, exportID string, origin Origin) (int, error) {
	for {
		mine, next, err := e.findAttempt(ctx, tenantID, exportID, origin)
		if err != nil || mine > 0 {
			return mine, err
		}
		var began Origin
		_, err = once(ctx, e.store, schemas.ExportPrefix(tenantID, exportID)+attemptName(next), &began, func() (Origin, error) { return origin, nil })
		if err != nil {
			return 0, err
		}
	}
}

// Fail records why an attempt was given up.
func (e *Exporter) Fail(ctx context.Context, tenantID, exportID string, attempt int, failure schemas.Failure) error {
	_, err := once(ctx, e.store, schemas.ExportPrefix(tenantID, exportID)+failedName(attempt), &failure, func() (schemas.Failure, error) { return failure, nil })
	return err
}

// Failed returns why an attempt was given up; nil if it was not.
func (e *Exporter) Failed(ctx context.Context, tenantID, exportID string, attempt int) (*schemas.Failure, error) {
	failure := new(schemas.Failure)
	found, err := e.read(ctx, schemas.ExportPrefix(tenantID, exportID)+failedName(attempt), failure)
	if err != nil || !found {
		return nil, err
	}
	return failure, nil
}
