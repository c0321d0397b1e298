package pipelinetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"cdds/pipeline/bucket"
)

// Store keeps objects in memory; it is a pipeline.Store and safe for concurrent use.
type Store struct {
	// Now is the clock of the store; nil means time.Now.
	Now func() time.Time
	// Locks says that it has Object Lock: what is held cannot be removed.
	Locks bool

	mu      sync.Mutex
	objects map[string]object
	// kept are objects that readers do not see, which a lock keeps.
	kept map[string]object
}

type object struct {
	content  []byte
	metadata map[string]string
	modified time.Time
	expires  bool
	locked   bool
}

// NewStore returns an empty Store.
func NewStore() *Store {
	return &Store{objects: map[string]object{}, kept: map[string]object{}}
}

// Put stores content unless the key is taken: then it is bucket.ErrExists.
func (s *Store) Put(_ context.Context, key string, c bucket.Content) error {
	content, err := io.ReadAll(c.Body)
	if err != nil {
		return err
	}
	if int64(len(content)) != c.Size || contentOf(content).SHA256 != c.SHA256 {
		return fmt.Errorf("put %s: the body has %d bytes with another digest, or not %d", key, len(content), c.Size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.objects[key]; taken {
		return fmt.Errorf("put %s: %w", key, bucket.ErrExists)
	}
	now := s.Now
	if now == nil {
		now = time.Now
	}
	s.objects[key] = object{content: content, metadata: maps.Clone(c.Metadata), modified: now(), expires: c.Expires}
	return nil
}

// PutBytes is Put of a small document.
func (s *Store) PutBytes(ctx context.Context, key string, content []byte, _ string) error {
	return s.Put(ctx, key, contentOf(content))
}

func contentOf(content []byte) bucket.Content {
	sum := sha256.Sum256(content)
	return bucket.Content{Body: bytes.NewReader(content), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// Stat is bucket.ErrNotFound if none exists.
func (s *Store) Stat(_ context.Context, key string) (bucket.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return bucket.Object{}, fmt.Errorf("stat %s: %w", key, bucket.ErrNotFound)
	}
	return bucket.Object{Key: key, Size: int64(len(o.content)), Modified: o.modified, Metadata: maps.Clone(o.metadata)}, nil
}

// GetBytes is bucket.ErrNotFound if none exists.
func (s *Store) GetBytes(_ context.Context, key string, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	switch {
	case !ok:
		return nil, fmt.Errorf("get %s: %w", key, bucket.ErrNotFound)
	case int64(len(o.content)) > limit:
		return nil, fmt.Errorf("get %s: it has more than %d bytes", key, limit)
	}
	return slices.Clone(o.content), nil
}

// Open is bucket.ErrNotFound if none exists.
func (s *Store) Open(_ context.Context, key string) (io.ReadCloser, error) {
	content, err := s.GetBytes(context.Background(), key, 1<<40)
	return io.NopCloser(bytes.NewReader(content)), err
}

// OpenAt is a part of the object, or bucket.ErrChanged if it is another version.
func (s *Store) OpenAt(_ context.Context, key, version string, offset, size int64) (io.ReadCloser, string, error) {
	content, err := s.GetBytes(context.Background(), key, 1<<40)
	if err != nil {
		return nil, "", err
	}
	is := contentOf(content).SHA256
	if version != "" && version != is {
		return nil, "", fmt.Errorf("get %s: %w", key, bucket.ErrChanged)
	}
	if size > 0 {
		content = content[offset : offset+size]
	}
	return io.NopCloser(bytes.NewReader(content)), is, nil
}

// List returns the objects whose key begins with prefix, by key.
func (s *Store) List(_ context.Context, prefix string) ([]bucket.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return listed(prefix, s.objects), nil
}

// Remains is List with what a lock keeps.
func (s *Store) Remains(_ context.Context, prefix string) ([]bucket.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	both := maps.Clone(s.kept)
	maps.Copy(both, s.objects)
	return listed(prefix, both), nil
}

func listed(prefix string, objects map[string]object) (all []bucket.Object) {
	for key, o := range objects {
		if strings.HasPrefix(key, prefix) {
			all = append(all, bucket.Object{Key: key, Size: int64(len(o.content)), Modified: o.modified})
		}
	}
	slices.SortFunc(all, func(a, b bucket.Object) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// Folders yields, one level below prefix, every part of a key up to and including the
// next slash, in order.
func (s *Store) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		all, _ := s.List(ctx, prefix)
		last := ""
		for _, o := range all {
			name, _, below := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
			if folder := prefix + name + "/"; below && folder != last {
				if last = folder; !yield(folder, nil) {
					return
				}
			}
		}
	}
}

// Hold takes an object out of what ExpireBefore removes, or puts it back, and locks it as Lock does.
func (s *Store) Hold(_ context.Context, key string, held bool) error {
	return s.mark(key, func(o *object) { o.expires, o.locked = !held, held && s.Locks })
}

// Lock keeps an object from being removed where the store has locks, or lets it go.
func (s *Store) Lock(_ context.Context, key string, held bool) error {
	return s.mark(key, func(o *object) { o.locked = held && s.Locks })
}

func (s *Store) mark(key string, do func(*object)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	for _, objects := range []map[string]object{s.objects, s.kept} {
		if o, ok := objects[key]; ok {
			do(&o)
			objects[key], found = o, true
		}
	}
	if !found {
		return fmt.Errorf("hold %s: %w", key, bucket.ErrNotFound)
	}
	return nil
}

// ExpireBefore removes what expires and is from before a time, as a rule of the store does.
func (s *Store) ExpireBefore(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.objects, func(_ string, o object) bool { return o.expires && o.modified.Before(t) })
}

// Remove of an object that is not there is no error. One that is locked is seen no longer.
func (s *Store) Remove(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[key]; o.locked {
		s.kept[key] = o
	}
	delete(s.objects, key)
	if s.kept[key].locked {
		return fmt.Errorf("remove %s: %w", key, &bucket.LockedError{Key: key})
	}
	delete(s.kept, key)
	return nil
}

// RemoveAll removes the objects that are there of some.
func (s *Store) RemoveAll(ctx context.Context, keys []string) error {
	var locked *bucket.LockedError
	for _, key := range keys {
		if err := s.Remove(ctx, key); err == nil {
			continue
		}
		if locked == nil {
			locked = &bucket.LockedError{Key: key, More: -1}
		}
		locked.More++
	}
	if locked != nil {
		return locked
	}
	return nil
}
