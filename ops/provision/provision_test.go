package provision

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/config"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline/bucket"
	"cdds/pipeline/tables"
)

func TestABucketIsMadeWithObjectLockWhereItIsConfigured(t *testing.T) {
	e := stacktest.Shared(t).Endpoints()
	store, err := minio.New(e.S3.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(e.S3.AccessKey, e.S3.SecretKey, ""), Region: e.S3.Region})
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := kgo.NewClient(kgo.SeedBrokers(e.Kafka...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	c := config.Default()
	c.Kafka.Replication = 1
	made := func(name string, lock bool) error {
		c.S3.Bucket, c.S3.AttachmentsBucket, c.S3.ObjectLock = name, name+"-attachments", lock
		return All(t.Context(), kadm.NewClient(kafka), tables.New(stacktest.ClickHouse(t)), bucket.New(store, name), c, func(string) {})
	}
	for name, lock := range map[string]bool{"with-locks": true, "without-locks": false} {
		for range 2 { // safe to repeat
			if err := made(name, lock); err != nil {
				t.Fatal(err)
			}
		}
		if _, locks, err := bucket.New(store, name).Guards(t.Context()); err != nil || locks != lock {
			t.Errorf("%s has Object Lock: %t, %v", name, locks, err)
		}
	}
	var unfit *bucket.UnfitError
	if err := made("without-locks", true); !errors.As(err, &unfit) || !strings.Contains(err.Error(), "it has no Object Lock, which s3.object_lock") {
		t.Errorf("a bucket that exists without Object Lock: %v", err)
	}
}

// A store that overwrites would lose what another worker decided, one export at a time and
// without a word. It is refused before anything is decided.
func TestAStoreThatOverwritesIsRefusedAtProvisioning(t *testing.T) {
	overwrites := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("lifecycle"):
			w.WriteHeader(http.StatusNotImplemented)
		case r.Method == http.MethodGet && !r.URL.Query().Has("list-type"):
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("ETag", `"e"`)
		}
	}))
	t.Cleanup(overwrites.Close)
	store, err := minio.New(strings.TrimPrefix(overwrites.URL, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4("key", "secret", ""), Region: "us-east-1", MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := kgo.NewClient(kgo.SeedBrokers(stacktest.Shared(t).Endpoints().Kafka...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	c := config.Default()
	c.Kafka.Replication = 1
	err = All(t.Context(), kadm.NewClient(kafka), tables.New(stacktest.ClickHouse(t)), bucket.New(store, "cdds"), c, func(string) {})
	var unfit *bucket.UnfitError
	if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "it ignores If-None-Match: * on PUT") {
		t.Errorf("got %v", err)
	}
}
