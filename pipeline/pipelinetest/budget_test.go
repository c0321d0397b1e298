package pipelinetest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// repeated is a source of one part: the same lines as often as asked.
type repeated struct {
	pipeline.Source
	line []byte
	rows int64
}

func (s *repeated) Rows(context.Context, warehouse.Query, schemas.RowKey, schemas.RowKey) (warehouse.Lines, error) {
	return &repeater{line: s.line, left: s.rows * int64(len(s.line))}, nil
}

// repeater yields line again and again without allocating.
type repeater struct {
	line     []byte
	at, left int64
}

func (*repeater) Close() error { return nil }
func (*repeater) Sum() uint64  { return 0 }

func (r *repeater) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && r.left > 0 {
		k := copy(p[n:min(len(p), n+int(min(r.left, int64(len(p)))))], r.line[r.at:])
		n, r.left, r.at = n+k, r.left-int64(k), (r.at+int64(k))%int64(len(r.line))
	}
	return n, nil
}

// forgetful keeps nothing, so that it allocates nothing for what is put.
type forgetful struct{ pipeline.Store }

func (forgetful) Put(_ context.Context, _ string, content bucket.Content) error {
	_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{content.Body}, make([]byte, 32<<10))
	return err
}

// onePart returns what exports a part of n rows, once.
func onePart(t testing.TB, compression string) (export func(n int64), lineBytes int64) {
	cert, key := pair()
	line := append(bytes.Clone(pipelinetest.Records(1)[0].Event.Body), '\n')
	source := &repeated{line: line}
	e := pipeline.New(pipeline.Options{
		Source: source, Store: forgetful{pipelinetest.NewStore()}, Spools: pipeline.NewSpools(256 << 20),
		Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
	})
	x := pipeline.Export{
		ID: "e1", Filter: pipelinetest.Everything(1).Filter, Snapshot: schemas.Snapshot{1}, SplitSize: 64 << 20,
		Encoding: schemas.EncodingSMIME, Compression: compression, Recipients: []*x509.Certificate{cert},
	}
	return func(n int64) {
		source.rows = n
		if _, err := e.Export(t.Context(), x, schemas.PlannedPart{Part: schemas.Part{Number: 1, Rows: n, Bytes: n * int64(len(line))}}); err != nil {
			t.Fatal(err)
		}
	}, int64(len(line))
}

// A row is bytes on their way through: what it costs in allocations must be nothing,
// or memory and time grow with the export.
func TestAPartAllocatesNothingForARow(t *testing.T) {
	export, _ := onePart(t, schemas.CompressionStandard)
	export(100_000) // the pools are filled
	few := testing.AllocsPerRun(5, func() { export(1_000) })
	many := testing.AllocsPerRun(5, func() { export(101_000) })
	if perRow := (many - few) / 100_000; perRow > 0.01 {
		t.Errorf("%.3f allocations per row: %.0f for 1,000 rows and %.0f for 101,000", perRow, few, many)
	}
}

// The part alone, without ClickHouse and the network: deflate, digests, sealing.
func BenchmarkPart(b *testing.B) {
	for _, compression := range []string{schemas.CompressionStandard, schemas.CompressionFast} {
		b.Run(compression, func(b *testing.B) {
			export, line := onePart(b, compression)
			rows := int64(16<<20) / line
			b.SetBytes(rows * line)
			b.ReportAllocs()
			for b.Loop() {
				export(rows)
			}
		})
	}
}
