package pipeline

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// maxDocument bounds the JSON documents read back from the store, in bytes.
const maxDocument = 32 << 20

// once decodes the document at key into v. If none exists it is made and stored;
// if somebody else stored one meanwhile, theirs counts. It returns the bytes that
// are stored.
func once[T any](ctx context.Context, store Store, key string, v *T, make func() (T, error)) ([]byte, error) {
	content, err := store.GetBytes(ctx, key, maxDocument)
	if errors.Is(err, bucket.ErrNotFound) {
		made, err := make()
		if err != nil {
			return nil, err
		}
		if content, err = schemas.Encode(made); err != nil {
			return nil, err
		}
		err = store.PutBytes(ctx, key, content, schemas.ContentTypeJSON)
		if errors.Is(err, bucket.ErrExists) {
			content, err = store.GetBytes(ctx, key, maxDocument)
		}
		if err != nil {
			return nil, err
		}
		return content, decodeDocument(key, content, v)
	}
	if err != nil {
		return nil, err
	}
	return content, decodeDocument(key, content, v)
}

// read decodes a stored document; false if none exists.
func read(ctx context.Context, store Store, key string, v any) (bool, error) {
	content, err := store.GetBytes(ctx, key, maxDocument)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decodeDocument(key, content, v)
}

// exists reports whether there is an object.
func exists(ctx context.Context, store Store, key string) (bool, error) {
	_, err := store.Stat(ctx, key)
	if errors.Is(err, bucket.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func decodeDocument(key string, content []byte, v any) error {
	return unreadable(key, schemas.Read(content, v))
}

// unreadable is the error of reading a stored document: permanent if it is the document's, not
// the connection's.
func unreadable(key string, err error) error {
	if errors.As(err, new(*schemas.MalformedError)) {
		return Permanent(fmt.Errorf("the stored document %s is not readable: %w", key, err))
	}
	return err
}

// putMade stores a JSON document that write makes, and holds none of it: it is made twice, once
// for its size and digest, which the store must know before, and once while it is sent. It is
// bucket.ErrExists if there is one.
func putMade(ctx context.Context, store Store, key string, write func(io.Writer) error) (size int64, sum [sha256.Size]byte, err error) {
	made := func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 64<<10)
		if err := write(buffered); err != nil {
			return err
		}
		return buffered.Flush()
	}
	digest := sha256.New()
	length := &lengthWriter{w: digest}
	if err := made(length); err != nil {
		return 0, sum, err
	}
	digest.Sum(sum[:0])
	body := &madeBody{make: made}
	err = store.Put(ctx, key, bucket.Content{Body: body, Size: length.n, SHA256: hexSum(digest), Type: schemas.ContentTypeJSON})
	if bad := body.stop(); err != nil && bad != nil {
		return 0, sum, bad
	}
	return length.n, sum, err
}

// lengthWriter counts what is written.
type lengthWriter struct {
	w io.Writer
	n int64
}

func (l *lengthWriter) Write(p []byte) (int, error) {
	l.n += int64(len(p))
	return l.w.Write(p)
}

// Permanent marks err as one that trying again cannot mend. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &answer.Error{Meaning: answer.Permanent, Err: err}
}

// IsPermanent reports whether err, or an error it wraps, was marked Permanent, or is the
// answer of a service that cannot change.
func IsPermanent(err error) bool { return answer.IsPermanent(err) }
