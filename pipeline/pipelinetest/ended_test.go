package pipelinetest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// slow carries a request to store a part out once it is let, as S3 does: whether or not somebody
// waits for the answer.
type slow struct {
	*pipelinetest.Store
	sent, let chan struct{}
	done      chan error
}

func (s *slow) Put(ctx context.Context, key string, c bucket.Content) error {
	if !strings.HasSuffix(key, ".p7m") {
		return s.Store.Put(ctx, key, c)
	}
	sent, err := io.ReadAll(c.Body)
	if err != nil {
		return err
	}
	c.Body = bytes.NewReader(sent)
	go func() {
		<-s.let
		s.done <- s.Store.Put(context.WithoutCancel(ctx), key, c)
	}()
	close(s.sent)
	select {
	case err := <-s.done:
		s.done <- nil
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestAPartThatIsOnItsWayWhenItsExportIsCancelledIsWithdrawn(t *testing.T) {
	source := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...)
	store := &slow{pipelinetest.NewStore(), make(chan struct{}), make(chan struct{}), make(chan error, 1)}
	exporter, x, plan := planned(t, source, store)
	ctx, end := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := exporter.Export(ctx, x, plan.Parts[0])
		ended <- err
	}()

	<-store.sent
	check(t, exporter.MarkCancelled(t.Context(), x.Filter.TenantID, x.ID))
	end(pipeline.ErrGone)
	check(t, exporter.Discard(t.Context(), x.Filter.TenantID, x.ID))
	close(store.let)
	if err := <-ended; !errors.Is(err, pipeline.ErrGone) {
		t.Errorf("the part ended with %v", err)
	}
	<-store.done
	all, err := store.List(t.Context(), "")
	check(t, err)
	if n := slices.IndexFunc(all, func(o bucket.Object) bool { return strings.HasSuffix(o.Key, ".p7m") }); n >= 0 {
		t.Errorf("%s is left of an export that was cancelled", all[n].Key)
	}
}

func TestAWorkerThatStopsDoesNotWaitForAPartOnItsWay(t *testing.T) {
	source := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...)
	store := &slow{pipelinetest.NewStore(), make(chan struct{}), make(chan struct{}), make(chan error, 1)}
	defer func() { close(store.let); <-store.done }()
	exporter, x, plan := planned(t, source, store)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := exporter.Export(ctx, x, plan.Parts[0])
		ended <- err
	}()
	<-store.sent
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the part ended with %v", err)
		}
	case <-time.After(4 * time.Second): // an export that was ended waits for five
		t.Error("it waits for the answer")
	}
}

// planned is an export and who carries it out.
func planned(t *testing.T, source pipeline.Source, store pipeline.Store) (*pipeline.Exporter, pipeline.Export, schemas.Plan) {
	t.Helper()
	cert, key := pair()
	exporter := pipeline.New(pipeline.Options{
		Source: source, Store: store, Objects: held(t), Spools: pipeline.NewSpools(64 << 20), ZipBytes: zipBytes, SegmentBytes: segmentBytes,
		Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
	})
	q := pipelinetest.Everything(rowsHeld, rowsHeld)
	x := pipeline.Export{
		ID: "e1", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 40 << 10, Encoding: schemas.EncodingDER, Recipients: []*x509.Certificate{cert},
		Whole: func(context.Context) error { return nil },
	}
	plan, err := exporter.Plan(t.Context(), x)
	check(t, err)
	return exporter, x, plan
}
