package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tarball is a package with a small library.
func tarball(t *testing.T, library string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for name, text := range map[string]string{"package/package.json": "{}", "package/libchdb.so": library} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func releaseOf(content []byte, size int) release {
	digest := sha512.Sum512(content)
	return release{pkg: "lib@1", integrity: base64.StdEncoding.EncodeToString(digest[:]), file: "package/libchdb.so", size: int64(size)}
}

func packOf(content []byte, calls *atomic.Int32) func(context.Context, string, string) error {
	return func(_ context.Context, _, dir string) error {
		calls.Add(1)
		return os.WriteFile(filepath.Join(dir, "lib-1.tgz"), content, 0o600)
	}
}

func TestLibraryIsFetchedOnceByManyAtATime(t *testing.T) {
	dir, content := t.TempDir(), tarball(t, "the library")
	var calls atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := releaseOf(content, len("the library")).ensure(t.Context(), dir, packOf(content, &calls), func(string) {})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "the library" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 {
		t.Errorf("fetched %d times", calls.Load())
	}
}

func TestLibraryWithAnotherDigestIsNotUnpacked(t *testing.T) {
	dir := t.TempDir()
	var calls atomic.Int32
	rel := releaseOf(tarball(t, "the library"), len("the library"))
	for _, content := range [][]byte{tarball(t, "an attack!!"), tarball(t, "the library")[:100], nil} {
		if _, err := rel.ensure(t.Context(), dir, packOf(content, &calls), func(string) {}); err == nil || !strings.Contains(err.Error(), "do not use it") {
			t.Errorf("got %v", err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "chdb.lock" {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWithoutTheNpmClientTheErrorTellsTheWaysOut(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv(LibraryEnv, "")
	_, err := Library(t.Context(), nil)
	if !errors.Is(err, ErrNoLibrary) {
		t.Fatalf("got %v", err)
	}
	for _, hint := range []string{"docker compose", LibraryEnv} {
		if !strings.Contains(err.Error(), hint) {
			t.Errorf("no %q in %v", hint, err)
		}
	}
}

func TestNamedLibraryIsUsedAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libchdb.so")
	t.Setenv(LibraryEnv, path)
	if _, err := Library(t.Context(), nil); !errors.Is(err, ErrNoLibrary) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Library(t.Context(), nil); err != nil || got != path {
		t.Errorf("got %q, %v", got, err)
	}
}
