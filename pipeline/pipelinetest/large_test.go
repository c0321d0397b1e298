package pipelinetest_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// mostParts is more than an export may have.
const mostParts = 100_000

// largest is a plan of as many parts as there may be, and what is stored of them.
func largest() (pipeline.Export, schemas.Plan) {
	cert, _ := pair()
	q := pipelinetest.Everything(1)
	x := pipeline.Export{
		ID: "01JD0000000000000000000000", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 1 << 20,
		Encoding: schemas.EncodingSMIME, Recipients: []*x509.Certificate{cert},
	}
	plan := schemas.Plan{Parts: make([]schemas.PlannedPart, mostParts), Snapshot: q.Snapshot}
	for i := range plan.Parts {
		key := func(n int) schemas.RowKey {
			return schemas.RowKey{Time: schemas.TimeOf(q.Filter.From.Add(time.Duration(2*i+n) * time.Second)), ID: fmt.Sprintf("5f0c3e1a-7d1e-4b6e-9f55-%012d", 2*i+n)}
		}
		plan.Parts[i].Part = schemas.Part{Number: i + 1, First: key(0), Last: key(1), Rows: 2, Bytes: 2000}
	}
	return x, plan
}

func receiptOf(x pipeline.Export, part schemas.Part) schemas.Receipt {
	name := schemas.PartName(x.Filter.Entity, x.ID, part)
	sum := func(of string) string {
		return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s of %d", of, part.Number)))
	}
	return schemas.Receipt{
		Part: part, Name: name, Key: schemas.ExportPrefix(x.Filter.TenantID, x.ID) + name,
		JSONLSHA256: sum("lines"), ZipBytes: 700, ZipSHA256: sum("zip"), SealedBytes: 1900, SealedSHA256: sum("sealed"),
	}
}

// scales weighs what is held while a manifest passes through the store, which keeps none.
type scales struct {
	pipeline.Store
	base, most uint64
	x          pipeline.Export
	receipts   *pipeline.Receipts
	manifest   schemas.Manifest
	size       int64
}

func heldNow() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (s *scales) weigh() { s.most = max(s.most, heldNow()-s.base) }

// Put weighs every 16 MiB.
func (s *scales) Put(ctx context.Context, key string, content bucket.Content) error {
	if !strings.HasSuffix(key, schemas.ManifestName) {
		return s.Store.Put(ctx, key, content)
	}
	s.size = content.Size
	for {
		_, err := io.CopyN(io.Discard, content.Body, 16<<20)
		s.weigh()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Open streams the manifest that is made of the receipts.
func (s *scales) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if s.manifest.Version == 0 || !strings.HasSuffix(key, schemas.ManifestName) {
		return s.Store.Open(ctx, key)
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(schemas.WriteManifest(w, s.manifest, s.receipts.All())) }()
	return r, nil
}

// The manifest of the largest export has some 70 MB. Whoever held it, or its receipts, would
// need several times that beside the parts of other exports.
func TestTheLargestExportFinishesInBoundedMemory(t *testing.T) {
	const bound = 64 << 20
	cert, key := pair()
	s := &scales{Store: pipelinetest.NewStore(), base: heldNow()}
	x, plan := largest()
	s.x, s.receipts = x, pipeline.NewReceipts(x, plan)
	for _, part := range plan.Parts {
		check(t, s.receipts.Add(receiptOf(x, part.Part)))
	}
	s.weigh()
	t.Logf("the plan and what is stored of %d parts: %d MB", len(plan.Parts), s.most>>20)
	e := pipeline.New(pipeline.Options{Store: s, Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now})
	started := time.Now()
	c, err := e.Finish(t.Context(), x, schemas.TopicInteractions, s.receipts.All())
	check(t, err)
	t.Logf("a manifest of %d MB is finished in %v; held at most %d MB", s.size>>20, time.Since(started).Round(time.Millisecond), s.most>>20)
	if c.ManifestBytes != s.size || c.Totals.Parts != mostParts || c.SignerSHA256 == "" {
		t.Errorf("completed as %+v", c)
	}

	s.manifest = schemas.Manifest{Version: schemas.ManifestVersion, TenantID: x.Filter.TenantID, ExportID: x.ID, Totals: c.Totals}
	read, last := 0, ""
	started = time.Now()
	check(t, e.Receipts(t.Context(), x.Filter.TenantID, x.ID, func(r schemas.Receipt) error {
		if read++; read%20_000 == 0 {
			s.weigh()
		}
		last = r.SealedSHA256
		return nil
	}))
	t.Logf("it is read in %v", time.Since(started).Round(time.Millisecond))
	if want := receiptOf(x, plan.Parts[len(plan.Parts)-1].Part).SealedSHA256; read != mostParts || last != want {
		t.Errorf("read %d parts up to %s, want %d up to %s", read, last, mostParts, want)
	}
	if s.most > bound {
		t.Errorf("at most %d MB were held, more than %d", s.most>>20, bound>>20)
	}
}
