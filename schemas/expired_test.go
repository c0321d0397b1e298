package schemas_test

import (
	"testing"

	"cdds/schemas"
)

func TestFoldKeepsWhenItEndedOnceItIsExpired(t *testing.T) {
	completed := status("completed", schemas.Completed, 20)
	completed.Completion = &schemas.Completion{ManifestKey: "k"}
	expired := status("expired", schemas.Expired, 90)
	expired.Reason = "its time was over"
	again := status("cancelled", schemas.Cancelled, 95) // its request came again
	e := schemas.Fold(append(history(), expired, again, completed)...)
	if e.State != schemas.Expired || !e.EndedAt.Equal(completed.Time.Time) || !e.RemovedAt.Equal(expired.Time.Time) || e.Completion == nil || e.Reason != expired.Reason {
		t.Errorf("folded to %+v", e)
	}
}
