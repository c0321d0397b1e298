package export_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers/export"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/smime"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// scene is what workers run on, in memory: a log that grows, the store they share, and
// what they report.
type scene struct {
	store *pipelinetest.Store

	mu      sync.Mutex
	records []schemas.Record[*schemas.Interaction]
	told    []*schemas.ExportStatus
	offsets int
	// requested are requests that a worker published, and erased what was erased.
	requested []*schemas.ExportRequest
	erased    map[string]pipelinetest.Erased
	// forwarded are messages that a worker published again.
	forwarded []forwarded
	// now is the clock.
	now func() time.Time
	// secret is what pseudonyms are made with.
	secret []byte
	// memory is the export.memory of workers made from now on.
	memory int64
}

func newScene(records ...schemas.Record[*schemas.Interaction]) *scene {
	return &scene{store: pipelinetest.NewStore(), records: records, now: time.Now, secret: bytes.Repeat([]byte("s"), schemas.MinPseudonymKey), memory: 64 << 20}
}

// pair is the recipient's and, for once, the signer's too.
var pair = sync.OnceValues(func() (tls.Certificate, string) {
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "both", Bits: 2048})
	if err != nil {
		panic(err)
	}
	both, err := tls.X509KeyPair(cert, key)
	if err != nil {
		panic(err)
	}
	return both, string(cert)
})

// worker is one that sees store and source through faults, which may be nil; around,
// if not nil, is put around the source.
func (s *scene) worker(faults *pipelinetest.Faults, around func(pipeline.Source) pipeline.Source) *export.Worker {
	if faults == nil {
		faults = &pipelinetest.Faults{}
	}
	source := faults.Source(s)
	if around != nil {
		source = around(source)
	}
	both, _ := pair()
	quiet := pipelinetest.Log{End: s.ends}
	return export.New(export.Options{
		Exporter: pipeline.New(pipeline.Options{
			Source: source, Store: faults.Store(s.store), Spools: pipeline.NewSpools(s.memory),
			Certificate: both.Leaf, Key: both.PrivateKey.(crypto.Signer), Lifetime: time.Hour, Now: s.now, PseudonymSecret: s.secret,
		}),
		Log: quiet, Requests: s, Ledger: quiet, Tenants: quiet, Publisher: s, Name: "test", Slots: 1, InlineCertificates: true,
		Now: s.now, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
}

// handle hands a message to a worker, as the next one of the topic, until it is decided, and
// has the worker carry out what is open.
func (s *scene) handle(ctx context.Context, w *export.Worker, r *schemas.ExportRequest) error {
	b := s.published(r)
	for w.Handle(ctx, b) != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return w.Work(ctx)
}

// published is a message as the next one of the topic.
func (s *scene) published(r *schemas.ExportRequest) schemas.Batch[*schemas.ExportRequest] {
	s.mu.Lock()
	defer s.mu.Unlock()
	record := schemas.Record[*schemas.ExportRequest]{Event: r, Offset: int64(s.offsets)}
	s.offsets++
	return schemas.Batch[*schemas.ExportRequest]{Records: []schemas.Record[*schemas.ExportRequest]{record}}
}

func request(id string) *schemas.ExportRequest {
	f := pipelinetest.Everything().Filter
	_, pem := pair()
	return &schemas.ExportRequest{
		TenantID: pipelinetest.Tenant, ExportID: id, Entity: f.Entity, From: f.From, To: f.To,
		SplitSize: 64 << 10, Recipients: []schemas.Recipient{{Certificate: pem}},
	}
}

func control(action, id string) *schemas.ExportRequest {
	return &schemas.ExportRequest{Action: action, TenantID: pipelinetest.Tenant, ExportID: id}
}

// statuses are what was reported of an export, in order.
func (s *scene) statuses(id string) (all []*schemas.ExportStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.told {
		if e.ExportID == id {
			all = append(all, e)
		}
	}
	return all
}

// states are the different states that were reported of an export.
func (s *scene) states(id string) (all []schemas.State) {
	for _, e := range s.statuses(id) {
		if !slices.Contains(all, e.State) {
			all = append(all, e.State)
		}
	}
	return all
}

// artifacts are the keys of parts, manifest and signature in the store.
func (s *scene) artifacts(id string) (keys []string) {
	all, _ := s.store.List(context.Background(), schemas.ExportPrefix(pipelinetest.Tenant, id))
	for _, o := range all {
		if strings.HasSuffix(o.Key, ".p7m") || strings.Contains(o.Key, schemas.ManifestName) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// open are the exports that the store says are open.
func (s *scene) open() (all []string, err error) {
	decisions := pipeline.Decisions{Store: s.store, Now: time.Now}
	shards, err := decisions.Shards(context.Background())
	for _, shard := range shards {
		opened, failed := decisions.Opened(context.Background(), shard)
		err = errors.Join(err, failed)
		for _, o := range opened {
			all = append(all, o.ExportID)
		}
	}
	return all, err
}

func (s *scene) log() []schemas.Record[*schemas.Interaction] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

func (s *scene) ends() schemas.Snapshot {
	ends := schemas.Snapshot{0, 0}
	for _, r := range s.log() {
		ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
	}
	return ends
}

// source has what the log has, but for what was erased.
func (s *scene) source() *pipelinetest.Source {
	return pipelinetest.NewSource(s.log()...).EraseAll(s.erased)
}

// Partitions and Forward are those of a topic with one partition.
func (s *scene) Partitions(context.Context) (int32, error) { return 1, nil }

func (s *scene) Forward(_ context.Context, partition int32, r *schemas.ExportRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forwarded = append(s.forwarded, forwarded{partition, r})
	return nil
}

type forwarded struct {
	to int32
	r  *schemas.ExportRequest
}

func (s *scene) Publish(_ context.Context, events ...schemas.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		switch e := e.(type) {
		case *schemas.ExportStatus:
			s.told = append(s.told, e)
		case *schemas.ExportRequest:
			s.requested = append(s.requested, e)
		}
	}
	return nil
}

func (s *scene) Extent(ctx context.Context, q warehouse.Query) (warehouse.Extent, error) {
	return s.source().Extent(ctx, q)
}

func (s *scene) Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	return s.source().Chunks(ctx, q, n, each)
}

func (s *scene) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	return s.source().Rows(ctx, q, first, last)
}

func (s *scene) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	return s.source().Attached(ctx, q, first, last, each)
}

func (s *scene) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	return s.source().AttachmentSizes(ctx, q, first, last, each)
}

func (s *scene) ErasedUntil(_ context.Context, _, _ string, from time.Time) (until time.Time, erased bool, err error) {
	return s.source().ErasedUntil(context.Background(), "", "", from)
}

func (s *scene) CountRemoved(ctx context.Context, q warehouse.Query) (int64, error) {
	return s.source().CountRemoved(ctx, q)
}

func (s *scene) Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	return s.source().Removed(ctx, q, first, last, each)
}

func digest(lines string) string {
	sum := sha256.Sum256([]byte(lines))
	return hex.EncodeToString(sum[:])
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
