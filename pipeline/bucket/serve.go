package bucket

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
)

// OpenRange opens the object at key for reading from anywhere in it, or is
// ErrNotFound. No content is fetched before the first read. The caller closes it.
func (b *Bucket) OpenRange(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	r, err := b.client.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, wrap("get", key, err)
	}
	if _, err := r.Stat(); err != nil { // its size, which seeking needs
		return nil, errors.Join(wrap("get", key, err), r.Close())
	}
	return r, nil
}

// Link is a URL that fetches the object at key without any other credentials until
// lifetime has passed; browsers save it as name. It asks nobody, so the object may
// be gone.
func (b *Bucket) Link(ctx context.Context, key, name string, lifetime time.Duration) (*url.URL, error) {
	u, err := b.links.PresignedGetObject(ctx, b.name, key, lifetime, url.Values{
		"response-content-disposition": {mime.FormatMediaType("attachment", map[string]string{"filename": name})},
	})
	if err != nil {
		return nil, wrap("link", key, err)
	}
	return u, nil
}
