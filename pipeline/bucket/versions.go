package bucket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"cdds/pipeline/answer"
)

// versions is what is known of whether a bucket keeps older versions, and whether it has Object
// Lock. Most buckets have neither, so it is asked rarely, and what the store says with objects
// anyway is used.
type versions struct {
	mu sync.Mutex
	// kept is for good: S3 can suspend versioning, but what was kept stays, and so may what is
	// removed.
	kept bool
	// asked is when the store said last that there are no versions. denied says that it does not
	// tell us.
	asked  time.Time
	denied bool
	// locks is whether the bucket has Object Lock, which it was asked for at lockAsked.
	locks     bool
	lockAsked time.Time
	// untold says that the store does not let us read tags.
	untold bool
}

// askAgain is how long an answer about the bucket counts: somebody may turn on versions, or locks.
const askAgain = 5 * time.Minute

// saw notes the version that came with an object. Only buckets that keep versions name one.
func (v *versions) saw(version string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case version != "":
		v.kept = true
	case v.denied: // this object would have one
		v.denied, v.asked = false, time.Now()
	}
}

// keepsVersions reports whether what is removed from the bucket by its key alone may stay as an
// older version. Where the credentials may not ask, the object at key tells.
func (b *Bucket) keepsVersions(ctx context.Context, key string) (bool, error) {
	v := b.versions
	v.mu.Lock()
	kept, fresh, denied := v.kept, time.Since(v.asked) < askAgain, v.denied
	v.mu.Unlock()
	if kept || fresh && !denied {
		return kept, nil
	}
	if !fresh {
		config, err := b.client.GetBucketVersioning(ctx, b.name)
		m, a := meaningOf(err)
		denied = m == answer.Refused && a.StatusCode != http.StatusNotImplemented
		if err != nil && m != answer.Refused && !notFound(err) {
			return false, fmt.Errorf("look whether bucket %s keeps versions: %w", b.name, answered(err))
		}
		v.mu.Lock()
		v.kept = v.kept || err == nil && (config.Enabled() || config.Suspended())
		v.asked, v.denied = time.Now(), denied
		v.mu.Unlock()
	}
	if denied && key != "" {
		if _, err := b.Stat(ctx, key); err != nil && answer.Of(err) == answer.Passing && !errors.Is(err, ErrNotFound) {
			return false, err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.kept, nil
}

// version is one of an object.
type version struct {
	key, id  string
	marker   bool // says that there is no object
	latest   bool // what readers see
	size     int64
	modified time.Time
}

// eachVersion calls do with every version below prefix until it returns false: page by page in the
// order of keys, and within a page in the order of the store, which may name delete markers first.
func (b *Bucket) eachVersion(ctx context.Context, prefix string, page int, do func(version) bool) error {
	options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true, MaxKeys: page}
	for info := range b.client.ListObjectsIter(ctx, b.name, options) {
		if info.Err != nil {
			if m, a := meaningOf(info.Err); m == answer.Refused {
				return fmt.Errorf("list the versions of %s: %w: allow s3:ListBucketVersions", prefix, &RefusedError{a.StatusCode, a.Code, false})
			}
			return fmt.Errorf("list the versions of %s: %w", prefix, answered(info.Err))
		}
		if !do(version{info.Key, info.VersionID, info.IsDeleteMarker, info.IsLatest, info.Size, info.LastModified}) {
			return nil
		}
	}
	return nil
}

// versionsOf are those of one key, the one that readers see last.
func (b *Bucket) versionsOf(ctx context.Context, key string) (all []version, err error) {
	const page = 8
	others := 0 // that begin with the key come after it, but for those on one page
	err = b.eachVersion(ctx, key, page, func(v version) bool {
		if v.key == key {
			all, others = append(all, v), 0
		} else {
			others++
		}
		return others < page
	})
	slices.SortStableFunc(all, func(a, b version) int {
		switch {
		case a.latest == b.latest:
			return 0
		case a.latest:
			return 1
		}
		return -1
	})
	return all, err
}

// Remains is List with the keys that have no object any more and of which the bucket keeps older
// versions: what somebody removed by its key alone. Remove removes those.
func (b *Bucket) Remains(ctx context.Context, prefix string) ([]Object, error) {
	kept, err := b.keepsVersions(ctx, "")
	if err != nil {
		return nil, err
	}
	if !kept {
		return b.List(ctx, prefix)
	}
	newest := map[string]Object{}
	err = b.eachVersion(ctx, prefix, 0, func(v version) bool {
		if o, seen := newest[v.key]; !seen || v.latest || v.modified.After(o.Modified) {
			newest[v.key] = Object{Key: v.key, Size: v.size, Modified: v.modified}
		}
		return true
	})
	return slices.SortedFunc(maps.Values(newest), func(a, b Object) int { return strings.Compare(a.Key, b.Key) }), err
}
