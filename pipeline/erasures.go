package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Erasures are the stored decisions about erasures, so that ClickHouse, which shows them, may be
// lost or set back while one waits for a hold, or half of it is carried out. Each is written once:
//
//	_cdds/erasures/<tenant>/<erasure>/accepted.json  which request the id stands for, as of which snapshots
//	_cdds/open-erasures/<tenant>/<erasure>           it is to be carried out
//	_cdds/erasures/<tenant>/<erasure>/found.json     what it is about and which exports hold it, before any of it is removed
//	_cdds/erasures/<tenant>/<erasure>/ended.json     how it ended
//
// Only the object under _cdds/open-erasures is ever removed: listing them costs what is open.
type Erasures struct {
	// Store keeps the decisions.
	Store Store
}

// ErasureKey tells erasures apart.
type ErasureKey struct{ TenantID, ErasureID string }

// KeyOf is the key of the erasure that a request asks for.
func KeyOf(r schemas.ErasureRequest) ErasureKey { return ErasureKey{r.TenantID, r.ErasureID} }

func (k ErasureKey) String() string { return k.TenantID + "/" + k.ErasureID }

const (
	erasuresPrefix     = Reserved + "erasures/"
	openErasuresPrefix = Reserved + "open-erasures/"
	foundName          = "found.json"
	// maxErasure bounds such a document, in bytes: it may name thousands of subjects, exports
	// and their files.
	maxErasure = 256 << 20
)

func erasureKey(id ErasureKey, name string) string {
	return erasuresPrefix + id.String() + "/" + name
}

func openErasureKey(id ErasureKey) string { return openErasuresPrefix + id.String() }

// Accepted returns the erasure as it was accepted; false if it never was.
func (d Erasures) Accepted(ctx context.Context, id ErasureKey) (schemas.Erasure, bool, error) {
	return d.read(ctx, erasureKey(id, acceptedName))
}

// Accept records the erasure as accepted, and returns what was recorded first.
func (d Erasures) Accept(ctx context.Context, e schemas.Erasure) (schemas.Erasure, error) {
	return d.record(ctx, acceptedName, e)
}

// Found returns what was found, false if nothing was written down yet.
func (d Erasures) Found(ctx context.Context, id ErasureKey) (schemas.Erasure, bool, error) {
	return d.read(ctx, erasureKey(id, foundName))
}

// Find records what was found, and returns what was recorded first.
func (d Erasures) Find(ctx context.Context, e schemas.Erasure) (schemas.Erasure, error) {
	return d.record(ctx, foundName, e)
}

// Ended returns how the erasure ended, false if it did not.
func (d Erasures) Ended(ctx context.Context, id ErasureKey) (schemas.Erasure, bool, error) {
	return d.read(ctx, erasureKey(id, endedName))
}

// End records how the erasure ended, and returns what was recorded first.
func (d Erasures) End(ctx context.Context, e schemas.Erasure) (schemas.Erasure, error) {
	return d.record(ctx, endedName, e)
}

// Open makes an erasure one that is to be carried out. It is safe to repeat.
func (d Erasures) Open(ctx context.Context, id ErasureKey) error {
	err := d.Store.PutBytes(ctx, openErasureKey(id), []byte("{}"), schemas.ContentTypeJSON)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// Close ends that. How the erasure ended must be recorded and shown before.
func (d Erasures) Close(ctx context.Context, id ErasureKey) error {
	return Unseen(d.Store.Remove(ctx, openErasureKey(id)))
}

// Opened lists the erasures that are to be carried out.
func (d Erasures) Opened(ctx context.Context) (all []ErasureKey, err error) {
	objects, err := d.Store.List(ctx, openErasuresPrefix)
	for _, o := range objects {
		tenant, id, ok := strings.Cut(strings.TrimPrefix(o.Key, openErasuresPrefix), "/")
		if of := (ErasureKey{TenantID: tenant, ErasureID: id}); ok && openErasureKey(of) == o.Key {
			all = append(all, of)
		}
	}
	return all, err
}

// Recalled is how an erasure ended, or made if nothing says so.
func (d Erasures) Recalled(ctx context.Context, made schemas.Erasure) (schemas.Erasure, error) {
	ended, found, err := d.Ended(ctx, KeyOf(made.Request))
	if err != nil || !found {
		return made, err
	}
	return ended, nil
}

func (d Erasures) read(ctx context.Context, key string) (e schemas.Erasure, found bool, err error) {
	content, err := d.Store.GetBytes(ctx, key, maxErasure)
	if errors.Is(err, bucket.ErrNotFound) {
		return e, false, nil
	}
	if err == nil {
		err = decodeDocument(key, content, &e)
	}
	return e, err == nil, err
}

// largeErasure is from when on such a document leaves out which files of exports hold something.
const largeErasure = 8 << 20

func (d Erasures) record(ctx context.Context, name string, e schemas.Erasure) (schemas.Erasure, error) {
	content, err := schemas.Encode(e)
	if err == nil && len(content) > largeErasure {
		e.Exports = slices.Clone(e.Exports)
		for i := range e.Exports {
			e.Exports[i].Parts = nil
		}
		content, err = schemas.Encode(e)
	}
	if err == nil && len(content) > maxErasure {
		err = Permanent(fmt.Errorf("what is known of erasure %s has %s; the limit is %d", KeyOf(e.Request), schemas.Counted(len(content), "byte"), maxErasure))
	}
	if err != nil {
		return e, err
	}
	key := erasureKey(KeyOf(e.Request), name)
	err = d.Store.PutBytes(ctx, key, content, schemas.ContentTypeJSON)
	if !errors.Is(err, bucket.ErrExists) {
		return e, err
	}
	first, found, err := d.read(ctx, key)
	if err == nil && !found {
		err = fmt.Errorf("%s is there and cannot be read", key)
	}
	return first, err
}
