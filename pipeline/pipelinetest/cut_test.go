package pipelinetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// cutShort answers every question, and the n-th without its end, as if that were all.
type cutShort struct {
	pipeline.Source
	call, at atomic.Int32
}

func (s *cutShort) now() bool { return s.call.Add(1) == s.at.Load() }

func (s *cutShort) Extent(ctx context.Context, q warehouse.Query) (warehouse.Extent, error) {
	e, err := s.Source.Extent(ctx, q)
	if s.now() {
		e.Rows, e.Bytes = e.Rows-1, e.Bytes-100
	}
	return e, err
}

func (s *cutShort) Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	chunks, err := pipelinetest.Chunks(ctx, s.Source, q, n)
	if s.now() {
		chunks = chunks[:len(chunks)-1]
	}
	for _, c := range chunks {
		err = errors.Join(err, each(c))
	}
	return err
}

func (s *cutShort) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	rows, err := s.Source.Rows(ctx, q, first, last)
	if err != nil || !s.now() {
		return rows, err
	}
	content, err := io.ReadAll(rows)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	return pipelinetest.LinesOf(rows.Sum(), bytes.Join(lines[:len(lines)/2], nil)), rows.Close()
}

func (s *cutShort) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	var held func() error
	err := s.Source.Attached(ctx, q, first, last, func(version uint64, body []byte) error {
		if held != nil {
			if err := held(); err != nil {
				return err
			}
		}
		body = bytes.Clone(body)
		held = func() error { return each(version, body) }
		return nil
	})
	if err == nil && !s.now() && held != nil {
		err = held()
	}
	return err
}

func (s *cutShort) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	var held func() // the row before, of which nobody knows yet whether it is the last
	err := s.Source.AttachmentSizes(ctx, q, first, last, func(key schemas.RowKey, version uint64, sizes []uint64) {
		if held != nil {
			held()
		}
		held = func() { each(key, version, sizes) }
	})
	if !s.now() && held != nil {
		held()
	}
	return err
}

func TestNoAnswerThatWasCutShortMakesAnExportShort(t *testing.T) {
	objects := held(t)
	whole := &cutShort{Source: pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...)}
	want, _ := undisturbed(t, whole)
	mended, refused := 0, 0
	for n := int32(1); n <= whole.call.Load(); n++ {
		source, store := &cutShort{Source: whole.Source}, pipelinetest.NewStore()
		source.at.Store(n)
		c, err := worker(t, store, source, objects)
		if err != nil { // the plan does not agree with itself; the worker tries again
			if pipeline.IsPermanent(err) {
				t.Errorf("question %d was answered in part, and the export is given up: %v", n, err)
			}
			refused++
			if c, err = worker(t, store, source, objects); err != nil {
				t.Errorf("question %d was answered in part, and the second attempt says: %v", n, err)
				continue
			}
		} else {
			mended++
		}
		if got := contents(t, store, c); !slices.Equal(got, want) {
			t.Errorf("question %d was answered in part, and the digests are not those of an undisturbed run", n)
		}
	}
	if mended == 0 || refused == 0 {
		t.Errorf("%d parts were read again and %d plans made again", mended, refused)
	}
}

func TestAPartThatIsNotThePlannedOneTwiceIsGivenUp(t *testing.T) {
	objects, store := held(t), pipelinetest.NewStore()
	records := pipelinetest.Records(rowsHeld)
	died := pipelinetest.FailAt(8, pipelinetest.Before) // planned, and not yet exported
	if _, err := worker(t, died.Store(store), pipelinetest.NewSource(records...), died.Objects(objects)); err == nil {
		t.Fatal("the worker did not die")
	}
	half := &cutShort{Source: pipelinetest.NewSource(records[:rowsHeld/2]...)}
	_, err := worker(t, store, half, objects)
	if !pipeline.IsPermanent(err) {
		t.Errorf("half of the rows are gone, and the worker says: %v", err)
	}
	if n := half.call.Load(); n < 2 || n%2 > 0 || n > 4 {
		t.Errorf("it read %d times; a part is read twice, and no other is begun after it", n)
	}
}

// unsized is a table that an earlier release filled: it does not say how large
// attachments are.
type unsized struct{ pipeline.Source }

func (s unsized) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	n := 0
	return s.Source.AttachmentSizes(ctx, q, first, last, func(key schemas.RowKey, version uint64, sizes []uint64) {
		if n++; n%2 == 0 {
			sizes = nil
		}
		each(key, version, sizes)
	})
}

func TestAttachmentsStoredByAnEarlierReleaseAreInTheSameParts(t *testing.T) {
	source := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...)
	want, calls := undisturbed(t, source)
	got, more := undisturbed(t, unsized{source})
	if !slices.Equal(got, want) {
		t.Errorf("with sizes that are not noted the digests are %v, and else %v", got, want)
	}
	if more != calls+1 {
		t.Errorf("%d questions instead of %d: the interactions were not read once more", more, calls)
	}
}

// opened remembers which objects were looked for.
type opened struct {
	pipeline.Objects
	keys []string
}

func (o *opened) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	o.keys = append(o.keys, key)
	return o.Objects.Open(ctx, key)
}

// TestAnObjectOfAnotherTenantIsNotOpenedWhateverIsStored has a row that no event could
// have brought: an event with such a reference is dead-lettered.
func TestAnObjectOfAnotherTenantIsNotOpenedWhateverIsStored(t *testing.T) {
	records, objects := pipelinetest.Records(rowsHeld), held(t)
	const foreign = "globex/secret"
	content := []byte("what globex keeps")
	check(t, objects.PutBytes(t.Context(), foreign, content, "text/plain"))
	sum := sha256.Sum256(content)
	e := *records[1].Event // which has one version
	e.Attachments = []schemas.Attachment{{AttachmentID: "a", Name: "a.txt", Object: foreign, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}}
	e.Body = nil
	body, err := schemas.Encode(&e)
	check(t, err)
	e.Body, records[1].Event = body, &e
	watched := &opened{Objects: objects}
	c, err := worker(t, pipelinetest.NewStore(), pipelinetest.NewSource(records...), watched)
	check(t, err)
	if c.Totals.AttachmentProblems != 1 || len(watched.keys) == 0 || slices.Contains(watched.keys, foreign) {
		t.Errorf("%d problems; %d objects were opened, globex's among them: %v", c.Totals.AttachmentProblems, len(watched.keys), slices.Contains(watched.keys, foreign))
	}
}
