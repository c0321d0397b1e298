package bucket_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cdds/ops/stack"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
)

// stackClient is a client of the shared stack's S3.
func stackClient(t *testing.T) *minio.Client {
	t.Helper()
	e := stacktest.Shared(t).Endpoints().S3
	client, err := minio.New(e.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(e.AccessKey, e.SecretKey, ""), Region: e.Region})
	check(t, err)
	return client
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// versionsIn are the versions and delete markers of a bucket, as "key" or "key marker".
func versionsIn(t *testing.T, client *minio.Client, name string) (all []string) {
	t.Helper()
	for v := range client.ListObjectsIter(t.Context(), name, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		check(t, v.Err)
		line := v.Key
		if v.IsDeleteMarker {
			line += " marker"
		}
		all = append(all, line)
	}
	return all
}

// overwrite stores another version, as anybody can who does not ask for If-None-Match.
func overwrite(t *testing.T, client *minio.Client, name, key string) {
	t.Helper()
	_, err := client.PutObject(t.Context(), name, key, strings.NewReader("another"), 7, minio.PutObjectOptions{})
	check(t, err)
}

// TestRemovingLeavesNoVersion removes keys from buckets that keep versions, or did once.
func TestRemovingLeavesNoVersion(t *testing.T) {
	client := stackClient(t)
	for name, state := range map[string]func(name string) error{
		"versioned": func(name string) error { return client.EnableVersioning(t.Context(), name) },
		"suspended": func(name string) error {
			return errors.Join(client.EnableVersioning(t.Context(), name), client.SuspendVersioning(t.Context(), name))
		},
		"suspended-later": func(name string) error { // with versions of before
			err := client.EnableVersioning(t.Context(), name)
			overwrite(t, client, name, "acme/e1/a")
			overwrite(t, client, name, "acme/e1/a")
			return errors.Join(err, client.SuspendVersioning(t.Context(), name))
		},
		"versioned-later": func(name string) error { // with an object of before
			overwrite(t, client, name, "acme/e1/a")
			return client.EnableVersioning(t.Context(), name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, name)
			check(t, state(name))
			for _, key := range []string{"acme/e1/a", "acme/e1/b", "acme/e1/ab"} {
				overwrite(t, client, name, key)
			}
			overwrite(t, client, name, "acme/e1/a")
			check(t, client.RemoveObject(t.Context(), name, "acme/e1/b", minio.RemoveObjectOptions{})) // as others do
			all, err := b.List(t.Context(), "acme/")
			if err != nil || len(all) != 2 {
				t.Errorf("listed are %v, %v", all, err)
			}
			remains, err := b.Remains(t.Context(), "acme/")
			if err != nil || len(remains) != 3 {
				t.Errorf("%v remain, %v; want what was removed by its key alone as well", remains, err)
			}
			for _, together := range []bool{true, false} {
				keys := []string{"acme/e1/a", "acme/e1/b", "acme/e1/none"}
				if together {
					check(t, b.RemoveAll(t.Context(), keys))
					check(t, b.RemoveAll(t.Context(), keys)) // safe to repeat
				} else {
					overwrite(t, client, name, "acme/e1/a")
					overwrite(t, client, name, "acme/e1/a")
				}
				for _, key := range keys {
					check(t, b.Remove(t.Context(), key))
				}
				if all := versionsIn(t, client, name); len(all) != 1 || all[0] != "acme/e1/ab" {
					t.Errorf("together: %t, versions are left of %q", together, all)
				}
			}
			check(t, b.Put(t.Context(), "acme/e1/a", contentOf("again", nil)))
			if err := b.Put(t.Context(), "acme/e1/a", contentOf("twice", nil)); !errors.Is(err, bucket.ErrExists) {
				t.Errorf("a second put says %v", err)
			}
		})
	}
}

// TestAKeyUnderADeleteMarkerIsFree: what was removed can be decided anew, once.
func TestAKeyUnderADeleteMarkerIsFree(t *testing.T) {
	if os.Getenv(stack.MinIOEnv) == "" {
		t.Skip("the embedded store says that such a key is taken; make test-real")
	}
	client, b := stackClient(t), open(t, "free")
	check(t, client.EnableVersioning(t.Context(), "free"))
	check(t, b.Put(t.Context(), "acme/k", contentOf("first", nil)))
	check(t, client.RemoveObject(t.Context(), "free", "acme/k", minio.RemoveObjectOptions{}))
	if _, err := b.GetBytes(t.Context(), "acme/k", 10); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("under a delete marker there is %v", err)
	}
	check(t, b.Put(t.Context(), "acme/k", contentOf("second", nil)))
	if err := b.Put(t.Context(), "acme/k", contentOf("third", nil)); !errors.Is(err, bucket.ErrExists) {
		t.Errorf("a third put says %v", err)
	}
	check(t, b.Remove(t.Context(), "acme/k"))
	if all := versionsIn(t, client, "free"); len(all) != 0 {
		t.Errorf("versions are left of %q", all)
	}
}

// TestARemovalThatBreaksOffLeavesTheObjectListed: the version that readers see goes last.
func TestARemovalThatBreaksOffLeavesTheObjectListed(t *testing.T) {
	removed := 0
	b := served(t, func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		switch {
		case query.Has("versioning"):
			_, _ = fmt.Fprint(w, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
		case query.Has("versions"):
			_, _ = fmt.Fprint(w, `<ListVersionsResult><Version><Key>acme/k</Key><VersionId>new</VersionId><IsLatest>true</IsLatest></Version>`+
				`<Version><Key>acme/k</Key><VersionId>old</VersionId></Version></ListVersionsResult>`)
		case r.Method == http.MethodDelete && query.Get("versionId") == "old" && removed == 0:
			removed++
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodDelete && query.Get("versionId") == "new" && removed == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
	})
	if err := b.Remove(t.Context(), "acme/k"); err == nil || removed != 1 {
		t.Errorf("%d removed, %v", removed, err)
	}
}

// TestWhatTurnsOutToKeepVersionsIsRemovedByThem: the bucket says that it keeps none, and somebody
// changes that.
func TestWhatTurnsOutToKeepVersionsIsRemovedByThem(t *testing.T) {
	client, b := stackClient(t), open(t, "changed")
	keys := []string{"acme/e1/a", "acme/e1/b"}
	check(t, b.RemoveAll(t.Context(), keys))
	check(t, client.EnableVersioning(t.Context(), "changed"))
	for _, key := range keys {
		overwrite(t, client, "changed", key)
	}
	check(t, b.RemoveAll(t.Context(), keys))
	if all := versionsIn(t, client, "changed"); len(all) != 0 {
		t.Errorf("versions are left of %q", all)
	}
}

// TestABucketWithoutVersionsIsAskedOnce: a removal is one request there.
func TestABucketWithoutVersionsIsAskedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		first  int64 // requests more
	}{"it says that it keeps none": {http.StatusOK, 1}, "it does not say": {http.StatusForbidden, 2}, "it does not know": {http.StatusNotImplemented, 1}} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			b := served(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				switch {
				case r.URL.Query().Has("versioning"):
					w.WriteHeader(c.status)
					_, _ = fmt.Fprint(w, "<VersioningConfiguration/>")
				case r.Method == http.MethodHead:
					w.Header().Set("ETag", `"e"`)
					w.Header().Set("Last-Modified", "Mon, 02 Mar 2026 15:04:05 GMT")
				default:
					w.WriteHeader(http.StatusNoContent)
				}
			})
			for n := range 100 {
				check(t, b.Remove(t.Context(), fmt.Sprint("acme/", n)))
			}
			if n := requests.Load(); n != 100+c.first {
				t.Errorf("%d requests for 100 removals", n)
			}
		})
	}
}

// locked is a bucket with Object Lock on the shared stack.
func locked(t *testing.T, name string) *bucket.Bucket {
	t.Helper()
	b := bucket.New(stackClient(t), name)
	check(t, b.CreateLocked(t.Context(), stacktest.Shared(t).Endpoints().S3.Region))
	return b
}

// TestWhatIsHeldIsUnderALegalHold: nobody removes it until it is let go, not by its versions either.
func TestWhatIsHeldIsUnderALegalHold(t *testing.T) {
	client, b := stackClient(t), locked(t, "legal-hold")
	content := contentOf("sealed", nil)
	content.Expires = true
	check(t, b.Put(t.Context(), "acme/e1/part", content))
	check(t, b.PutBytes(t.Context(), "acme/e1/manifest.json", []byte("{}"), "application/json"))
	hold := func(held bool) error {
		return errors.Join(b.Hold(t.Context(), "acme/e1/part", held), b.Lock(t.Context(), "acme/e1/manifest.json", held))
	}
	for range 2 { // safe to repeat
		check(t, hold(true))
	}
	for _, key := range []string{"acme/e1/part", "acme/e1/manifest.json"} {
		err := b.Remove(t.Context(), key)
		var locked *bucket.LockedError
		if !errors.As(err, &locked) || !locked.Until.IsZero() || locked.Key != key || answer.Of(err) != answer.Locked || answer.IsPermanent(err) {
			t.Errorf("removing %s says %v", key, err)
		}
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, bucket.ErrNotFound) {
			t.Errorf("readers see %s: %v", key, err)
		}
	}
	overwrite(t, client, "legal-hold", "acme/e1/part") // a version that is not held goes, the one that is stays
	for range 2 {
		if err := b.Remove(t.Context(), "acme/e1/part"); answer.Of(err) != answer.Locked {
			t.Errorf("removing it says %v", err)
		}
	}
	check(t, b.PutBytes(t.Context(), "acme/e1/other", []byte("{}"), "application/json"))
	var some *bucket.LockedError
	if err := b.RemoveAll(t.Context(), []string{"acme/e1/manifest.json", "acme/e1/other", "acme/e1/part"}); !errors.As(err, &some) || some.More != 1 {
		t.Errorf("removing three of which two are held says %v", err)
	}
	want := []string{"acme/e1/manifest.json", "acme/e1/manifest.json marker", "acme/e1/part", "acme/e1/part marker"}
	all := versionsIn(t, client, "legal-hold")
	if slices.Sort(all); !slices.Equal(all, want) {
		t.Errorf("there are %q, want %q", all, want)
	}
	for range 2 {
		check(t, hold(false))
	}
	for _, key := range []string{"acme/e1/part", "acme/e1/manifest.json"} {
		check(t, b.Remove(t.Context(), key))
	}
	if all := versionsIn(t, client, "legal-hold"); len(all) != 0 {
		t.Errorf("versions are left of %q", all)
	}
	if err := b.Hold(t.Context(), "acme/e1/part", true); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("holding what is gone says %v", err)
	}
}

// TestARetentionOfTheStoreIsToldApart from rights that are missing.
func TestARetentionOfTheStoreIsToldApart(t *testing.T) {
	if os.Getenv(stack.MinIOEnv) == "" {
		t.Skip("the embedded store does not show retentions as S3 does; make test-real")
	}
	client, b := stackClient(t), locked(t, "retention")
	check(t, b.PutBytes(t.Context(), "acme/k", []byte("x"), "text/plain"))
	mode, until := minio.Governance, time.Now().Add(time.Hour)
	check(t, client.PutObjectRetention(t.Context(), "retention", "acme/k", minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until}))
	var locked *bucket.LockedError
	if err := b.Remove(t.Context(), "acme/k"); !errors.As(err, &locked) || locked.Until.IsZero() || !strings.Contains(err.Error(), "Object Lock") {
		t.Errorf("removing it says %v", err)
	}
}

// TestALookComesBeforeAMark: what is marked already is not marked again.
func TestALookComesBeforeAMark(t *testing.T) {
	puts := 0
	b := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			puts++
		case r.URL.Query().Has("tagging"):
			_, _ = fmt.Fprint(w, `<Tagging><TagSet><Tag><Key>cdds</Key><Value>held</Value></Tag></TagSet></Tagging>`)
		default:
			_, _ = fmt.Fprint(w, "<VersioningConfiguration/>")
		}
	})
	check(t, b.Hold(t.Context(), "acme/k", true))
	if puts != 0 {
		t.Error("it was tagged though it was tagged already")
	}
	check(t, b.Hold(t.Context(), "acme/k", false))
	if puts != 1 {
		t.Errorf("it was tagged %d times to be let go", puts)
	}
}
