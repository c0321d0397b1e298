package bucket_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/bucket"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// open returns a bucket on the shared stack; name is the test's own.
func open(t *testing.T, name string) *bucket.Bucket {
	t.Helper()
	e := stacktest.Shared(t).Endpoints().S3
	client, err := minio.New(e.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(e.AccessKey, e.SecretKey, ""), Region: e.Region})
	if err != nil {
		t.Fatal(err)
	}
	b := bucket.New(client, name)
	for range 2 { // safe to repeat
		if err := b.Create(t.Context(), e.Region); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func contentOf(s string, metadata map[string]string) bucket.Content {
	return bucket.Content{
		Body: strings.NewReader(s), Size: int64(len(s)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(s))), Type: "text/plain", Metadata: metadata,
	}
}

func TestAnObjectIsWrittenOnceWhoeverComesFirst(t *testing.T) {
	b := open(t, "once")
	const writers = 16
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := []string{}
	for n := range writers {
		wg.Go(func() {
			content := strings.Repeat(string(rune('a'+n)), 100_000+n)
			err := b.Put(t.Context(), "dir/key", contentOf(content, map[string]string{"writer": content[:1]}))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, content)
			case !errors.Is(err, bucket.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of %d writers won", len(won), writers)
	}
	got, err := b.GetBytes(t.Context(), "dir/key", 1<<20)
	o, statErr := b.Stat(t.Context(), "dir/key")
	if err != nil || statErr != nil || string(got) != won[0] || o.Size != int64(len(won[0])) || o.Metadata["writer"] != won[0][:1] {
		t.Errorf("%d bytes by %q are stored, %v, %v", len(got), o.Metadata, err, statErr)
	}
}

func TestWhatIsNotThereIsToldApartFromWhatFails(t *testing.T) {
	b := open(t, "absent")
	_, statErr := b.Stat(t.Context(), "no")
	_, getErr := b.GetBytes(t.Context(), "no", 10)
	_, openErr := b.Open(t.Context(), "no")
	for name, err := range map[string]error{"Stat": statErr, "GetBytes": getErr, "Open": openErr} {
		if !errors.Is(err, bucket.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Remove(t.Context(), "no"); err != nil {
		t.Error("removing nothing:", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Stat(ended, "no"); err == nil || errors.Is(err, bucket.ErrNotFound) {
		t.Error("a request that was never made says", err)
	}
}

func TestListIsByPrefixAndRemoveRemoves(t *testing.T) {
	b := open(t, "list")
	for _, key := range []string{"acme/e1/b", "acme/e1/a", "acme/e10/a", "acme2/e1/a"} {
		if err := b.PutBytes(t.Context(), key, []byte(key), "text/plain"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Remove(t.Context(), "acme/e1/b"); err != nil {
		t.Fatal(err)
	}
	objects, err := b.List(t.Context(), "acme/e1/")
	if err != nil || len(objects) != 1 || objects[0].Key != "acme/e1/a" || objects[0].Size != 9 {
		t.Errorf("%+v, %v", objects, err)
	}
	if _, err := b.GetBytes(t.Context(), "acme/e1/a", 8); err == nil {
		t.Error("a document over the limit was read")
	}
}

// TestWhatIsHeldHasAnotherTagThanWhatTheStoreRemovesByAge reads the tag that the rule of ExpireAfter
// goes by.
func TestWhatIsHeldHasAnotherTagThanWhatTheStoreRemovesByAge(t *testing.T) {
	b := open(t, "held")
	e := stacktest.Shared(t).Endpoints().S3
	client, err := minio.New(e.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(e.AccessKey, e.SecretKey, ""), Region: e.Region})
	if err != nil {
		t.Fatal(err)
	}
	content := contentOf("sealed", map[string]string{"rows": "7"})
	content.Expires = true
	if err := b.Put(t.Context(), "acme/e1/part", content); err != nil {
		t.Fatal(err)
	}
	tag := func(want string) {
		t.Helper()
		all, err := client.GetObjectTagging(t.Context(), "held", "acme/e1/part", minio.GetObjectTaggingOptions{})
		if err != nil || all.ToMap()["cdds"] != want {
			t.Errorf("its tags are %v, %v; want cdds=%s", all, err, want)
		}
		if o, err := b.Stat(t.Context(), "acme/e1/part"); err != nil || o.Size != 6 || o.Metadata["rows"] != "7" {
			t.Errorf("it is %+v, %v", o, err)
		}
	}
	tag("artifact")
	for _, held := range []bool{true, true, false, false} {
		if err := b.Hold(t.Context(), "acme/e1/part", held); err != nil {
			t.Fatal(err)
		}
		tag(map[bool]string{true: "held", false: "artifact"}[held])
	}
	if err := b.Hold(t.Context(), "acme/e1/gone", true); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
}

// failing is a body that breaks off.
type failing struct{ whole *bytes.Reader }

func (f failing) Read(p []byte) (int, error) {
	if f.whole.Len() < 50_000 {
		return 0, errors.New("the body broke off")
	}
	return f.whole.Read(p)
}

func (f failing) Seek(offset int64, whence int) (int64, error) { return f.whole.Seek(offset, whence) }

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	b := open(t, "broken")
	body := failing{bytes.NewReader(make([]byte, 200_000))}
	half := contentOf(strings.Repeat("\x00", 200_000), nil)
	half.Body = body
	if err := b.Put(t.Context(), "half", half); err == nil {
		t.Fatal("half a body was stored")
	}
	if _, err := b.Stat(t.Context(), "half"); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("Stat says %v", err)
	}
	if err := b.Put(t.Context(), "half", contentOf("whole", nil)); err != nil {
		t.Error("after it:", err)
	}
	r, err := b.Open(t.Context(), "half")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if content, err := io.ReadAll(r); err != nil || string(content) != "whole" {
		t.Errorf("%q, %v", content, err)
	}
}
