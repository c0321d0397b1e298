// Package bucket is the only one that uses minio-go: it stores objects once, and
// reads, lists and removes them.
package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"cdds/pipeline/answer"
)

// Errors that callers act on.
var (
	// ErrExists says that the key already has an object, which was left as it is.
	ErrExists = errors.New("the object exists already")
	// ErrNotFound says that the key has no object.
	ErrNotFound = errors.New("there is no such object")
)

// Bucket stores the objects of one S3 bucket. It is safe for concurrent use.
type Bucket struct {
	client   *minio.Client
	name     string
	links    *minio.Client // signs links
	versions *versions
}

// New returns the bucket called name. It need not exist yet; Create makes it.
func New(client *minio.Client, name string) *Bucket {
	return &Bucket{client, name, client, new(versions)}
}

// LinkedBy returns the bucket with links that lead to where the client connects, such as the
// address by which people reach the store. Nothing is sent there.
func (b *Bucket) LinkedBy(client *minio.Client) *Bucket {
	return &Bucket{b.client, b.name, client, b.versions}
}

// Sibling returns another bucket of the same store.
func (b *Bucket) Sibling(name string) *Bucket {
	return &Bucket{b.client, name, b.links, new(versions)}
}

// Object describes what is stored.
type Object struct {
	Key string
	// Size is in bytes.
	Size     int64
	Modified time.Time
	// Metadata holds the user metadata, names in lower case. List leaves it empty.
	Metadata map[string]string
}

// Create makes the bucket if it does not exist. It is safe to repeat, and changes no bucket that is
// there.
func (b *Bucket) Create(ctx context.Context, region string) error {
	return b.create(ctx, minio.MakeBucketOptions{Region: region})
}

// CreateLocked is Create of a bucket with Object Lock, which keeps versions therefore.
func (b *Bucket) CreateLocked(ctx context.Context, region string) error {
	return b.create(ctx, minio.MakeBucketOptions{Region: region, ObjectLocking: true})
}

func (b *Bucket) create(ctx context.Context, options minio.MakeBucketOptions) error {
	exists, err := b.client.BucketExists(ctx, b.name)
	if err != nil {
		return fmt.Errorf("look for bucket %s: %w", b.name, err)
	}
	if exists {
		return nil
	}
	err = b.client.MakeBucket(ctx, b.name, options)
	if code := minio.ToErrorResponse(err).Code; err != nil && code != minio.BucketAlreadyOwnedByYou && code != minio.BucketAlreadyExists {
		return fmt.Errorf("create bucket %s: %w", b.name, err)
	}
	return nil
}

// Exists reports whether the bucket does.
func (b *Bucket) Exists(ctx context.Context) (bool, error) {
	ok, err := b.client.BucketExists(ctx, b.name)
	if err != nil {
		return false, fmt.Errorf("look for bucket %s: %w", b.name, err)
	}
	return ok, nil
}

// Content is what Put stores.
type Content struct {
	Body io.ReadSeeker
	Size int64
	// SHA256 of the body, in lower-case hex.
	SHA256 string
	// Type is its media type.
	Type     string
	Metadata map[string]string
	// Expires says that the store may remove the object when its time is over, see
	// ExpireAfter; what decides what an export is must stay.
	Expires bool
}

// Put stores content under key unless the key has an object: then it is ErrExists and
// nothing changes. It is one conditional request (If-None-Match: *), so of any number of
// writers exactly one succeeds, and the object is there whole or not at all. The store
// refuses a body of another digest, which is signed with the request
// (x-amz-content-sha256), over http and https alike. The body is read again if a try fails.
//
// While another writer is at the key the store answers 409, which does not say that there
// is an object: that writer may fail. Put tries again until the key is taken or free.
func (b *Bucket) Put(ctx context.Context, key string, content Content) error {
	options := minio.PutObjectOptions{
		ContentType:  content.Type,
		UserMetadata: content.Metadata,
		// What the store checks is the digest we have, not one of each chunk.
		DisableContentSha256: true,
	}
	if content.Expires {
		options.UserTags = map[string]string{expiresTag: expiresValue}
	}
	options.SetMatchETagExcept("*")
	for n := 1; ; n++ {
		info, err := minio.Core{Client: b.client}.PutObject(ctx, b.name, key, content.Body, content.Size, "", content.SHA256, options)
		if err == nil {
			b.versions.saw(info.VersionID)
			return nil
		}
		switch m, _ := meaningOf(err); {
		case m == answer.Exists:
			return fmt.Errorf("put %s: %w", key, ErrExists)
		case m != answer.Contended, n == contendedTries:
			return fmt.Errorf("put %s: %w", key, answered(err))
		}
		select {
		case <-time.After(contendedPause << n):
		case <-ctx.Done():
			return fmt.Errorf("put %s: %w", key, ctx.Err())
		}
		if _, err := content.Body.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
	}
}

// How often a key at which somebody writes is tried, and the pauses in between: some two
// seconds in all.
const (
	contendedTries = 8
	contendedPause = 10 * time.Millisecond
)

// PutBytes is Put of a small document.
func (b *Bucket) PutBytes(ctx context.Context, key string, content []byte, contentType string) error {
	return b.Put(ctx, key, Content{Body: bytes.NewReader(content), Size: int64(len(content)), SHA256: digest(content), Type: contentType})
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Stat describes the object at key, or is ErrNotFound.
func (b *Bucket) Stat(ctx context.Context, key string) (Object, error) {
	info, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return Object{}, wrap("stat", key, err)
	}
	b.versions.saw(info.VersionID)
	metadata := make(map[string]string, len(info.UserMetadata))
	for k, v := range info.UserMetadata {
		metadata[strings.ToLower(k)] = v
	}
	return Object{Key: key, Size: info.Size, Modified: info.LastModified, Metadata: metadata}, nil
}

// Open streams the object at key, or is ErrNotFound or a *RefusedError. The caller closes
// it.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	// One GET: the answer to a HEAD has no code, only a status.
	r, info, _, err := minio.Core{Client: b.client}.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, wrap("get", key, err)
	}
	b.versions.saw(info.VersionID)
	return r, nil
}

// ErrChanged says that the object is not the version that was asked for.
var ErrChanged = errors.New("the object was changed")

// OpenAt streams size bytes of the object at key from an offset, and says which version of
// it that is. A version asks for that one: if the object is another one by now it is
// ErrChanged. A size of 0 is all there is; the other errors are Open's. The caller closes it.
func (b *Bucket) OpenAt(ctx context.Context, key, version string, offset, size int64) (r io.ReadCloser, is string, err error) {
	options := minio.GetObjectOptions{}
	if version != "" {
		err = options.SetMatchETag(version)
	}
	if size > 0 {
		err = errors.Join(err, options.SetRange(offset, offset+size-1))
	}
	if err != nil {
		return nil, "", fmt.Errorf("get %s: %w", key, err)
	}
	r, info, _, err := minio.Core{Client: b.client}.GetObject(ctx, b.name, key, options)
	switch m, _ := meaningOf(err); {
	case err == nil:
		b.versions.saw(info.VersionID)
		return r, info.ETag, nil
	case version != "" && m == answer.Exists: // 412: the condition we set
		return nil, "", fmt.Errorf("get %s: %w", key, ErrChanged)
	}
	return nil, "", wrap("get", key, err)
}

// GetBytes reads a small document, or is ErrNotFound. More than limit bytes is an
// error.
func (b *Bucket) GetBytes(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("get %s: it has more than %d bytes", key, limit)
	}
	return content, nil
}

// List returns the objects whose key begins with prefix, by key.
func (b *Bucket) List(ctx context.Context, prefix string) ([]Object, error) {
	var all []Object
	for info := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if info.Err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, answered(info.Err))
		}
		all = append(all, Object{Key: info.Key, Size: info.Size, Modified: info.LastModified})
	}
	return all, nil
}
