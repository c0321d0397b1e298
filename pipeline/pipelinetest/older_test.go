package pipelinetest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// setBack answers the n-th question from what ClickHouse had some time ago, as it does between
// a restore and the ingest of what the backup lacks.
type setBack struct {
	now, before pipeline.Source
	call, at    atomic.Int32
}

func (s *setBack) source() pipeline.Source {
	if s.call.Add(1) == s.at.Load() {
		return s.before
	}
	return s.now
}

func (s *setBack) Extent(ctx context.Context, q warehouse.Query) (warehouse.Extent, error) {
	return s.source().Extent(ctx, q)
}

func (s *setBack) Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	return s.source().Chunks(ctx, q, n, each)
}

func (s *setBack) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	return s.source().Rows(ctx, q, first, last)
}

func (s *setBack) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	return s.source().Attached(ctx, q, first, last, each)
}

func (s *setBack) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(key schemas.RowKey, version uint64, sizes []uint64)) error {
	return s.source().AttachmentSizes(ctx, q, first, last, each)
}

func (s *setBack) CountRemoved(ctx context.Context, q warehouse.Query) (int64, error) {
	return s.source().CountRemoved(ctx, q)
}

func (s *setBack) Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	return s.source().Removed(ctx, q, first, last, each)
}

func (s *setBack) ErasedUntil(ctx context.Context, tenantID, entity string, from time.Time) (until time.Time, erased bool, err error) {
	return s.source().ErasedUntil(ctx, tenantID, entity, from)
}

// again publishes every record a second time: with another text, and other names of attachments,
// of the same length.
func again(first []schemas.Record[*schemas.Interaction]) (all []schemas.Record[*schemas.Interaction]) {
	next := map[int32]int64{}
	for _, r := range first {
		next[r.Partition] = max(next[r.Partition], r.Offset+1)
	}
	all = slices.Clone(first)
	for _, r := range first {
		e := *r.Event
		for _, c := range [][2]string{{`"text":"first"`, `"text":"other"`}, {`"inline.txt"`, `"INLINE.txt"`}, {`object.bin"`, `OBJECT.bin"`}} {
			e.Body = bytes.Replace(e.Body, []byte(c[0]), []byte(c[1]), 1)
		}
		r.Event, r.Offset = &e, next[r.Partition]
		next[r.Partition]++
		all = append(all, r)
	}
	return all
}

// TestAPartIsReadAgainOnceWhatWasMissingIsStored sets ClickHouse back for two readings of a part;
// when it is asked whether records are missing, ingest has stored them again.
func TestAPartIsReadAgainOnceWhatWasMissingIsStored(t *testing.T) {
	first := pipelinetest.Records(rowsHeld)[:rowsHeld]
	now, before := pipelinetest.NewSource(again(first)...), pipelinetest.NewSource(first...)
	cert, key := pair()
	exporter := func(source pipeline.Source, store pipeline.Store) *pipeline.Exporter {
		return pipeline.New(pipeline.Options{
			Source: source, Store: store, Objects: held(t), Spools: pipeline.NewSpools(64 << 20), ZipBytes: zipBytes, SegmentBytes: segmentBytes,
			Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
		})
	}
	q := pipelinetest.Everything(rowsHeld, rowsHeld)
	store := pipelinetest.NewStore()
	asked := 0
	x := pipeline.Export{
		ID: "e1", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 40 << 10, Encoding: schemas.EncodingDER, Recipients: []*x509.Certificate{cert},
		Whole: func(context.Context) error { asked++; return nil },
	}
	plan, err := exporter(now, store).Plan(t.Context(), x)
	check(t, err)
	for _, kind := range []string{"", schemas.KindAttachments} {
		part := plan.Parts[slices.IndexFunc(plan.Parts, func(p schemas.PlannedPart) bool { return p.Kind == kind })]
		asked = 0
		_, err := exporter(&setBackTwice{Source: now, before: before}, store).Export(t.Context(), x, part)
		if err != nil || asked != 1 {
			t.Errorf("part %d is not exported: %v; it was asked %d times whether records are missing", part.Number, err, asked)
		}
	}
}

// setBackTwice answers the first two questions as of before.
type setBackTwice struct {
	pipeline.Source
	before pipeline.Source
	calls  int
}

func (s *setBackTwice) source() pipeline.Source {
	if s.calls++; s.calls <= 2 {
		return s.before
	}
	return s.Source
}

func (s *setBackTwice) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	return s.source().Rows(ctx, q, first, last)
}

func (s *setBackTwice) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	return s.source().Attached(ctx, q, first, last, each)
}

func TestNoOlderVersionOfTheSameLengthIsExported(t *testing.T) {
	objects := held(t)
	first := pipelinetest.Records(rowsHeld)[:rowsHeld]
	whole := &setBack{now: pipelinetest.NewSource(again(first)...), before: pipelinetest.NewSource(first...)}
	want, _ := undisturbed(t, whole)
	mended, refused := 0, 0
	for n := int32(1); n <= whole.call.Load(); n++ {
		source, store := &setBack{now: whole.now, before: whole.before}, pipelinetest.NewStore()
		source.at.Store(n)
		c, err := worker(t, store, source, objects)
		if err != nil {
			if pipeline.IsPermanent(err) {
				t.Errorf("question %d was answered as of before, and the export is given up: %v", n, err)
			}
			refused++
			if c, err = worker(t, store, source, objects); err != nil {
				t.Errorf("question %d was answered as of before, and the second attempt says: %v", n, err)
				continue
			}
		} else {
			mended++
		}
		if got := contents(t, store, c); !slices.Equal(got, want) {
			t.Errorf("question %d was answered as of before, and so was the export", n)
		}
	}
	if mended == 0 || refused == 0 {
		t.Errorf("%d parts were read again and %d plans made again", mended, refused)
	}
}
