package pipelinetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
)

// refusing gives no object, for a reason.
type refusing struct{ reason error }

func (r refusing) Open(_ context.Context, key string) (io.ReadCloser, error) {
	return nil, fmt.Errorf("get %s: %w", key, r.reason)
}

func (r refusing) OpenAt(ctx context.Context, key, _ string, _, _ int64) (io.ReadCloser, string, error) {
	_, err := r.Open(ctx, key)
	return nil, "", err
}

func TestAnAnswerThatNothingChangesEndsInTheIndexAndAnyOtherIsTriedAgain(t *testing.T) {
	source := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...)
	store := pipelinetest.NewStore()
	c, err := worker(t, store, source, refusing{&bucket.RefusedError{Status: 403, Code: "AccessDenied"}})
	if err != nil {
		t.Fatalf("the export is not completed: %v", err)
	}
	referred := int64((rowsHeld + 48) / 49)
	if c.Totals.AttachmentProblems == 0 || c.Totals.AttachmentProblems > referred || c.Totals.Attachments <= c.Totals.AttachmentProblems {
		t.Errorf("%d of %d attachments are a problem", c.Totals.AttachmentProblems, c.Totals.Attachments)
	}
	again, err := worker(t, pipelinetest.NewStore(), source, refusing{&bucket.RefusedError{Status: 403, Code: "AccessDenied"}})
	if err != nil || again.Totals.ZipBytes != c.Totals.ZipBytes {
		t.Errorf("a second time it has %d bytes of zips, not %d, %v", again.Totals.ZipBytes, c.Totals.ZipBytes, err)
	}

	passing := errors.New("503 slow down")
	if _, err := worker(t, pipelinetest.NewStore(), source, refusing{passing}); !errors.Is(err, passing) || pipeline.IsPermanent(err) {
		t.Errorf("got %v, want what may pass, to be tried again", err)
	}
}
