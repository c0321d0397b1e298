package pipelinetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Locking is a store with Object Lock.
type Locking interface {
	pipeline.Store
	Hold(ctx context.Context, key string, held bool) error
	Lock(ctx context.Context, key string, held bool) error
}

// TestLocks holds a Store with Object Lock to what it does with objects that are held.
func TestLocks(t *testing.T, s Locking) {
	put := func(key string) {
		if err := s.PutBytes(t.Context(), key, []byte("12345"), schemas.ContentTypeJSON); err != nil {
			t.Fatal(err)
		}
	}
	remains := func(want ...string) {
		t.Helper()
		all, err := s.Remains(t.Context(), "locks/")
		var keys []string
		for _, o := range all {
			keys = append(keys, o.Key)
		}
		if err != nil || !slices.Equal(keys, want) {
			t.Errorf("%q remain, %v; want %q", keys, err, want)
		}
	}
	for _, key := range []string{"locks/held", "locks/locked", "locks/other"} {
		put(key)
	}
	hold := func(held bool) error {
		return errors.Join(s.Hold(t.Context(), "locks/held", held), s.Lock(t.Context(), "locks/locked", held))
	}
	if err := errors.Join(hold(true), hold(true)); err != nil {
		t.Fatal(err)
	}
	var locked *bucket.LockedError
	if err := s.RemoveAll(t.Context(), []string{"locks/held", "locks/locked", "locks/other"}); !errors.As(err, &locked) || locked.More != 1 {
		t.Errorf("removing three of which two are held says %v", err)
	}
	remains("locks/held", "locks/locked")
	if all, err := s.List(t.Context(), "locks/"); err != nil || len(all) != 0 {
		t.Errorf("readers see %v, %v", all, err)
	}
	if err := s.Remove(t.Context(), "locks/held"); !errors.As(err, &locked) || locked.Key != "locks/held" || !locked.Until.IsZero() {
		t.Errorf("removing one that is held says %v", err)
	}
	if err := errors.Join(hold(false), hold(false)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"locks/held", "locks/locked"} {
		if err := s.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	remains()
	if err := s.Hold(t.Context(), "locks/gone", true); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("holding what is gone says %v", err)
	}
}
