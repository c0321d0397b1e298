// Package pages makes what a decrypted export holds readable: static HTML pages of its
// contacts and their interactions, beside the JSON Lines.
//
// The pages need no script, no network and nothing else; each may be sent on alone. What they
// show was written by strangers: all of it is escaped, and a Content-Security-Policy in
// each page forbids everything but its own style. Attachments are linked only if no browser
// would run them.
//
// Memory is bounded, whatever the size of the export: which line belongs to which contact is
// sorted in a temporary file, and every page is written as it comes. The same export gives the
// same pages, byte for byte.
package pages

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// Names within the directory of the decrypted export.
const (
	// Dir holds the pages. It gets its name when all are there.
	Dir   = "html"
	index = "index.html"

	unfinished = ".html-unfinished"
)

// Options shape Write. The zero value works.
type Options struct {
	// Progress is called with how many bytes of all that must be read have been read; nil
	// tells nobody.
	Progress func(done, total int64)
	// Memory bounds what is sorted without a temporary file, in bytes; 0 means 16 MiB.
	Memory int
}

// Result says what there is now.
type Result struct {
	// Index is the path of the page to begin with.
	Index string
	// Pages is how many were written; none if those of an earlier run were kept.
	Pages int
}

// Write writes the pages of an export into the directory html of dir, into which
// receiver.Decrypt wrote the export that r reports. Pages that an earlier run made of the
// same export are kept; any other directory of that name is a receiver.ErrOutputExists.
func Write(ctx context.Context, dir string, r receiver.Report, o Options) (Result, error) {
	done := Result{Index: filepath.Join(dir, Dir, index)}
	out, err := os.OpenRoot(dir)
	if err != nil {
		return done, err
	}
	defer func() { _ = out.Close() }() // a directory that was only read from
	kept, err := sameExport(out, r.ManifestSHA256)
	if err != nil || kept {
		return done, err
	}
	if err := errors.Join(out.RemoveAll(unfinished), out.Mkdir(unfinished, 0o700)); err != nil {
		return done, err
	}
	s := &site{ctx: ctx, out: out, report: r, manifest: r.Manifest, tell: o.Progress, memory: o.Memory}
	if s.memory <= 0 {
		s.memory = 16 << 20
	}
	if err := errors.Join(s.write(), s.close()); err != nil {
		return done, errors.Join(err, out.RemoveAll(unfinished))
	}
	done.Pages = s.pages
	return done, out.Rename(unfinished, Dir)
}

// sameExport reports whether there are pages of the export whose manifest has this digest.
func sameExport(out *os.Root, digest string) (bool, error) {
	if _, err := out.Lstat(Dir); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	f, err := out.Open(path.Join(Dir, index))
	if err == nil {
		defer f.Close()
		head := make([]byte, 4<<10)
		n, _ := io.ReadFull(f, head)
		if bytes.Contains(head[:n], []byte(madeOf(digest))) {
			return true, nil
		}
	}
	return false, fmt.Errorf("%s: %w", Dir, receiver.ErrOutputExists)
}

// madeOf is what the first page says of the export it is of.
func madeOf(digest string) string {
	return `<meta name="cdds-manifest-sha256" content="` + digest + `">`
}

// site is the pages while they are written.
type site struct {
	ctx      context.Context
	out      *os.Root
	report   receiver.Report
	manifest *schemas.Manifest
	memory   int
	tell     func(done, total int64)
	read     int64
	pages    int
	spills   []*os.File
	sources  sources
}

func (s *site) close() error {
	errs := []error{s.sources.close()}
	for _, f := range s.spills {
		errs = append(errs, f.Close())
		if err := s.out.Remove(filepath.Base(f.Name())); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sorter is a new one. Its temporary file is beside the JSON Lines, whose ids it holds, not in a
// directory that others share.
func (s *site) sorter() (*sorter, error) {
	name := ".pages-" + rand.Text()
	f, err := s.out.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	// Where an open file can go without its name, not even a kill leaves it behind.
	_ = s.out.Remove(name)
	s.spills = append(s.spills, f)
	return &sorter{spill: f, limit: s.memory}, nil
}

// advance counts bytes that were read, and fails once the context is done.
func (s *site) advance(n int) error {
	s.read += int64(n)
	if s.tell != nil {
		s.tell(s.read, 2*s.manifest.Totals.JSONLBytes)
	}
	return s.ctx.Err()
}

// file writes a page.
func (s *site) file(name string, write func(io.Writer) error) error {
	name = path.Join(unfinished, name)
	if err := s.out.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := s.out.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.pages++
	w := bufio.NewWriterSize(f, 64<<10)
	return errors.Join(write(w), w.Flush(), f.Sync(), f.Close())
}

// sources are the decrypted files, of which some stay open.
type sources struct {
	root *os.Root
	open map[string]*os.File
}

// maxOpen bounds the files that stay open.
const maxOpen = 64

// at reads a piece of a file.
func (s *sources) at(name string, offset int64, length int) ([]byte, error) {
	f := s.open[name]
	if f == nil {
		if len(s.open) >= maxOpen {
			if err := s.close(); err != nil {
				return nil, err
			}
		}
		var err error
		if f, err = s.root.Open(name); err != nil {
			return nil, err
		}
		if s.open == nil {
			s.open = map[string]*os.File{}
		}
		s.open[name] = f
	}
	b := make([]byte, length)
	_, err := f.ReadAt(b, offset)
	return b, err
}

func (s *sources) close() error {
	var errs []error
	for _, f := range s.open {
		errs = append(errs, f.Close())
	}
	s.open = nil
	return errors.Join(errs...)
}
