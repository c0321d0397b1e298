// Package objects is the S3 of the embedded stack: versitygw's gateway over
// plain files.
//
// It is S3 in all that CDDS uses, with these exceptions. Trailing checksums over http
// fail, so clients set TrailingHeaders to false. A key cannot be a prefix of
// another up to a slash ("a" beside "a/b"). There are no lifecycle rules. A
// key under a delete marker is taken, and a retention is not shown as S3 does.
package objects

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// Region is the one region the gateway answers for.
const Region = "us-east-1"

// Options of Run.
type Options struct {
	// Dir is the directory with one subdirectory per bucket, created if
	// absent.
	Dir string
	// Sidecar is a directory for object metadata, used where the file system
	// of Dir has no extended attributes.
	Sidecar string
	// Versions is a directory for older versions, in buckets that keep them.
	Versions             string
	Addr                 string // "host:port"
	AccessKey, SecretKey string
	Logger               *slog.Logger
}

const memoryLimit = 256 << 20

// drain is how long requests in hand have to finish once ctx has ended. The gateway itself
// waits 10 seconds for connections that never carried a request, and HTTP clients keep
// such connections: they dial one more while another becomes free.
const drain = time.Second

// Run serves S3 until ctx ends, and then returns nil. It changes the working
// directory of the process, sends the process's standard output to nowhere and
// sets its memory limit, so the process should be its own, and should end once Run
// returns. A request that takes longer than the drain ends as with a killed process:
// its object is not stored.
func Run(ctx context.Context, opts Options) error {
	debug.SetMemoryLimit(memoryLimit)
	for _, dir := range []string{opts.Dir, opts.Sidecar, opts.Versions} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	os.Stdout = null // the gateway prints there
	store, options, err := metadata(opts)
	if err != nil {
		return err
	}
	backend, err := posix.New(opts.Dir, store, options)
	if err != nil {
		return fmt.Errorf("open the objects in %s: %w", opts.Dir, err)
	}
	opts.Logger.Info("s3 ready", "addr", opts.Addr, "sidecar", options.SideCarDir != "")
	served := make(chan error, 1)
	go func() {
		served <- embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess:    opts.AccessKey,
			RootUserSecret:    opts.SecretKey,
			Region:            Region,
			Ports:             []string{opts.Addr},
			MaxConnections:    1024,
			MaxRequests:       256,
			MultipartMaxParts: 10000,
			KeepAlive:         true,
			Quiet:             true,
		})
	}()
	late := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drain, func() { close(late) }) })()
	select {
	case err := <-served:
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve s3: %w", err)
		}
	case <-late:
	}
	return nil
}

// metadata chooses where ETags, user metadata and the like are kept: extended
// attributes if a probe of the file system succeeds. A store that has used the
// sidecar directory goes on using it.
func metadata(opts Options) (meta.MetadataStorer, posix.PosixOpts, error) {
	options := posix.PosixOpts{
		CopyObjectThreshold: 5 << 30, // the documented default, which is not applied
		VersioningDir:       opts.Versions,
		NewDirPerm:          0o700,
		NewFilePerm:         0o600,
	}
	used, err := os.ReadDir(opts.Sidecar)
	if err != nil {
		return nil, options, err
	}
	if len(used) == 0 && xattrsWork(opts.Dir) {
		return meta.XattrMeta{}, options, nil
	}
	options.SideCarDir = opts.Sidecar
	sidecar, err := meta.NewSideCar(opts.Sidecar)
	return sidecar, options, err
}

// xattrsWork writes an attribute and reads it back: some file systems know
// attributes but not the user.* ones.
func xattrsWork(dir string) bool {
	f, err := os.CreateTemp(dir, ".xattr-*")
	if err != nil {
		return false
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer f.Close()
	store, name := meta.XattrMeta{}, filepath.Base(f.Name())
	if err := store.StoreAttribute(f, dir, name, "probe", []byte("1")); err != nil {
		return false
	}
	value, err := store.RetrieveAttribute(f, dir, name, "probe")
	return err == nil && string(value) == "1"
}
