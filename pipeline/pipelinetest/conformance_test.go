package pipelinetest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

func TestStoreInMemoryKeepsTheContract(t *testing.T) {
	pipelinetest.TestStore(t, pipelinetest.NewStore())
}

func TestS3KeepsTheContract(t *testing.T) { pipelinetest.TestStore(t, s3(t, "conformance")) }

// A bucket that keeps versions is one to the rest of us, and so is one with Object Lock.
func TestS3WithVersionsKeepsTheContract(t *testing.T) {
	b := s3Client(t)
	for _, name := range []string{"conformance-versions", "conformance-suspended"} {
		store := s3(t, name)
		check(t, b.EnableVersioning(t.Context(), name))
		if name == "conformance-suspended" {
			check(t, b.SuspendVersioning(t.Context(), name))
		}
		pipelinetest.TestStore(t, store)
	}
	locked := bucket.New(b, "conformance-locks")
	check(t, locked.CreateLocked(t.Context(), stacktest.Shared(t).Endpoints().S3.Region))
	pipelinetest.TestStore(t, locked)
	pipelinetest.TestLocks(t, locked)
}

func TestStoreInMemoryWithLocksKeepsTheContract(t *testing.T) {
	s := pipelinetest.NewStore()
	s.Locks = true
	pipelinetest.TestStore(t, s)
	pipelinetest.TestLocks(t, s)
}

func TestClickHouseReadsWhatTheTwinReads(t *testing.T) {
	pipelinetest.TestSource(t, clickHouse(t, 100), 100)
}

func TestClickHouseAccountsAsTheTwinDoes(t *testing.T) {
	db := tables.New(stacktest.ClickHouse(t))
	check(t, db.Create(t.Context(), warehouse.Schema()))
	change := func(ctx context.Context, sql ...string) error { return db.Change(ctx, "lose rows", sql) }
	losses := pipelinetest.Losses{
		Year: func(ctx context.Context, entity string, year int) error {
			return change(ctx, fmt.Sprintf("ALTER TABLE %ss DROP PARTITION %d", entity, year))
		},
		Purge: func(ctx context.Context) error {
			return db.Change(tables.WithSettings(ctx, clickhouse.Settings{"mutations_sync": 2}), "purge", []string{"ALTER TABLE interactions APPLY DELETED MASK", "ALTER TABLE contacts APPLY DELETED MASK"})
		},
		All: func(ctx context.Context) error {
			return change(ctx, "TRUNCATE TABLE interactions", "TRUNCATE TABLE contacts", "TRUNCATE TABLE accounted", "TRUNCATE TABLE aged_out", "TRUNCATE TABLE erased_rows", "TRUNCATE TABLE erased_subjects")
		},
	}
	check(t, losses.All(t.Context())) // other tests' rows
	pipelinetest.TestAccounting(t, warehouse.New(db), losses, 2)
}

// s3 is a bucket on the embedded S3.
func s3(t *testing.T, name string) *bucket.Bucket {
	t.Helper()
	b := bucket.New(s3Client(t), name)
	check(t, b.Create(t.Context(), stacktest.Shared(t).Endpoints().S3.Region))
	return b
}

func s3Client(t *testing.T) *minio.Client {
	t.Helper()
	e := stacktest.Shared(t).Endpoints().S3
	client, err := minio.New(e.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(e.AccessKey, e.SecretKey, ""), Region: e.Region})
	check(t, err)
	return client
}

// clickHouse is the embedded ClickHouse with pipelinetest.Records(n).
func clickHouse(t *testing.T, n int) *warehouse.Warehouse {
	t.Helper()
	db := tables.New(stacktest.ClickHouse(t))
	check(t, db.Create(t.Context(), warehouse.Schema()))
	w := warehouse.New(db)
	for p := range int32(2) {
		b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: p}
		for _, r := range pipelinetest.Records(n) {
			if r.Partition == p {
				b.Records, b.Next = append(b.Records, r), r.Offset+1
			}
		}
		check(t, w.InsertInteractions(t.Context(), b))
	}
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
