package pipeline

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func key(n int64) schemas.RowKey {
	return schemas.RowKey{Time: schemas.TimeOf(time.UnixMilli(n / 3)), ID: fmt.Sprintf("i-%09d", n)}
}

func pack(chunks []warehouse.Chunk, split int64) schemas.Plan {
	p := packer{split: split}
	for _, c := range chunks {
		p.add(c)
	}
	return p.plan
}

// One line of 1 MiB makes every chunk of a plan fine: of 10^9 rows there are 15 million.
func TestAPlanOfABillionRowsIsMadeInLittleMemory(t *testing.T) {
	const rows, line, split = 1_000_000_000, 1000, 64 << 20
	n := chunkRows(split, 1<<20)
	p := packer{split: split}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := warehouse.Chunk{First: key(0), Last: key(n - 1), Rows: n, Bytes: n * line, Attached: 1}
	for range rows / n {
		p.add(c)
	}
	runtime.ReadMemStats(&after)
	if p.full || p.plan.Rows != rows/n*n || p.attached.rows != rows/n {
		t.Errorf("the plan has %d rows in %d parts", p.plan.Rows, len(p.plan.Parts))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
}

// empty is a store with nothing in it.
type empty struct{ Store }

func (empty) Open(context.Context, string) (io.ReadCloser, error) { return nil, bucket.ErrNotFound }

// endless is a source that never stops giving chunks, each a part.
type endless struct {
	Source
	largest int64
	bytes   int64
	given   int
}

func (s *endless) Extent(context.Context, warehouse.Query) (warehouse.Extent, error) {
	return warehouse.Extent{Rows: 1 << 40, Bytes: s.bytes, Largest: s.largest}, nil
}

func (s *endless) Chunks(_ context.Context, _ warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	for s.given = 0; n < 4096 || s.given < 10; s.given++ {
		if err := each(warehouse.Chunk{First: key(1), Last: key(1), Rows: n, Bytes: 1 << 20}); err != nil {
			return err
		}
	}
	return nil
}

func TestAPlanOfTooManyPartsIsGivenUpAsSoonAsItIsAndSaysWhichSplitSizeIsEnough(t *testing.T) {
	source := &endless{largest: 1 << 20}
	e := New(Options{Source: source, Store: empty{}, Spools: NewSpools(1 << 30)})
	for bytes, advice := range map[int64]string{
		1 << 40: "of a split_size of 1048576: set split_size to 22020096, or choose a shorter range",
		1 << 50: "of a split_size of 1048576: choose a shorter range",
	} {
		source.bytes = bytes
		_, err := e.Plan(t.Context(), Export{ID: "e1", SplitSize: 1 << 20})
		if !IsPermanent(err) || !strings.Contains(err.Error(), "the export would have more than 100,000 parts, "+advice) || source.given != schemas.MaxParts {
			t.Errorf("after %d chunks: %v", source.given, err)
		}
	}
}

// chunksOf generates consecutive chunks.
func chunksOf(t *rapid.T) []warehouse.Chunk {
	var chunks []warehouse.Chunk
	next := int64(0)
	for range rapid.IntRange(0, 60).Draw(t, "chunks") {
		rows := rapid.Int64Range(1, 50).Draw(t, "rows")
		chunks = append(chunks, warehouse.Chunk{
			First: key(next), Last: key(next + rows - 1), Rows: rows, Bytes: rows * rapid.Int64Range(1, 4000).Draw(t, "bytes"),
		})
		next += rows + rapid.Int64Range(0, 5).Draw(t, "gap")
	}
	return chunks
}

func TestAPlanHoldsEveryRowOnceInOrderWithinTheSplitSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks, split := chunksOf(t), rapid.Int64Range(1, 300_000).Draw(t, "split")
		plan := pack(chunks, split)

		var rows, bytes int64
		largest := int64(0)
		for _, c := range chunks {
			rows, bytes, largest = rows+c.Rows, bytes+c.Bytes, max(largest, c.Bytes)
		}
		if plan.Rows != rows || plan.Bytes != bytes {
			t.Fatalf("the plan has %d rows and %d bytes of %d and %d", plan.Rows, plan.Bytes, rows, bytes)
		}
		next := 0
		for i, p := range plan.Parts {
			if p.Number != i+1 || p.First != chunks[next].First {
				t.Fatalf("part %d begins at %v where %v is next", p.Number, p.First, chunks[next].First)
			}
			var partRows, partBytes int64
			for partRows < p.Rows {
				partRows, partBytes = partRows+chunks[next].Rows, partBytes+chunks[next].Bytes
				next++
			}
			if partRows != p.Rows || partBytes != p.Bytes || p.Last != chunks[next-1].Last {
				t.Fatalf("part %+v is not whole chunks", p)
			}
			if p.Bytes > max(split, largest) {
				t.Fatalf("part %d has %d bytes, the split size is %d and the largest chunk %d", p.Number, p.Bytes, split, largest)
			}
		}
		if next != len(chunks) {
			t.Fatalf("%d of %d chunks are in the plan", next, len(chunks))
		}
	})
}

func TestAChunkOfLargestRowsFitsAPart(t *testing.T) {
	for _, c := range []struct{ split, largest, want int64 }{
		{64 << 20, 0, 1},           // no rows: any number will do
		{64 << 20, 700, 4096},      // small rows: not needlessly many chunks
		{64 << 20, 5 << 20, 12},    // a few fit
		{64 << 10, 5 << 20, 1},     // one does not: it is a part of its own
		{64 << 20, 64 << 20, 1},    // exactly one
		{256 << 20, 100_000, 2684}, // rounded down
	} {
		if got := chunkRows(c.split, c.largest); got != c.want || got > 1 && got*c.largest > c.split {
			t.Errorf("chunkRows(%d, %d) = %d, want %d", c.split, c.largest, got, c.want)
		}
	}
}

func TestTheDateOfAnEntryIsTheEndOfTheRangeWithinWhatAZipCanSay(t *testing.T) {
	for to, want := range map[string]int{"1970-06-01T00:00:00Z": 1981, "2026-11-01T00:00:00Z": 2026, "2199-01-01T00:00:00Z": 2100} {
		at, err := schemas.ParseTime(to)
		if err != nil {
			t.Fatal(err)
		}
		h := entryHeader(schemas.Filter{To: at}, schemas.EntryName("interaction", schemas.Part{Number: 7}))
		if h.Modified.Year() != want || h.Name != "interaction-0007.jsonl" {
			t.Errorf("to %s: %s dated %s", to, h.Name, h.Modified)
		}
	}
}
