package pipeline

import (
	"context"
	"errors"
	"fmt"

	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// maxDocument bounds the JSON documents read back from the store, in bytes.
const maxDocument = 32 << 20

// once decodes the document at key into v. If there is none it is made and stored;
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

// read decodes a stored document; false if there is none.
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
	if err := schemas.Read(content, v); err != nil {
		return Permanent(fmt.Errorf("the stored document %s is not readable: %w", key, err))
	}
	return nil
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
