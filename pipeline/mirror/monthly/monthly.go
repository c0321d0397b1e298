// Package monthly keeps a copy as files of a month each, such as interactions/2026-05.parquet,
// which are written anew when something in their month changed. A database beside them,
// .cdds/copy.sqlite, is the copy; the files are made from it after a run was applied, each
// replaced as a whole. Whatever ends the process in between, the next one makes those that
// are missing, and also those that somebody else changed.
package monthly

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/sqlite"
	"cdds/schemas"
)

// Format is how a file is written.
type Format interface {
	// Extension follows the month, such as ".jsonl".
	Extension() string
	// Columns returns the columns of a table that Write needs.
	Columns(t mirror.Table) []mirror.Column
	// Write writes the rows of a table that rows gives, in order. Values are the texts of Columns
	// as bytes, or nil; they are valid until the function that rows is given returns. Several
	// months are written at the same time.
	Write(w io.Writer, t mirror.Table, rows func(func(values []any) error) error) error
}

// Directory is a copy in a directory.
type Directory struct {
	*sqlite.Database
	root   *os.Root
	format Format
}

// Open opens the copy in a directory, which it makes if need be, and makes the files that are
// missing. The caller closes it.
func Open(ctx context.Context, dir string, format Format) (_ *Directory, err error) {
	if err := os.MkdirAll(filepath.Join(dir, ".cdds"), 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, filepath.Join(dir, ".cdds", "copy.sqlite"))
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	d := &Directory{db, root, format}
	if err := errors.Join(d.removeDrafts(), db.Track(ctx), d.compare(ctx), d.render(ctx)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

const draftPrefix = ".draft-"

// removeDrafts removes what a process that died had begun to write.
func (d *Directory) removeDrafts() error {
	drafts, err := fs.Glob(d.root.FS(), "*/"+draftPrefix+"*")
	for _, name := range drafts {
		err = errors.Join(err, d.root.Remove(name))
	}
	return err
}

// Close undoes a batch that was not committed.
func (d *Directory) Close() error { return errors.Join(d.Database.Close(), d.root.Close()) }

// Begin begins a run; the files are made when it is committed.
func (d *Directory) Begin(ctx context.Context, entity string, released func(file string) error) (mirror.Batch, error) {
	b, err := d.Database.Begin(ctx, entity, released)
	if err != nil {
		return nil, err
	}
	return &batch{b, d}, nil
}

type batch struct {
	mirror.Batch
	d *Directory
}

func (b *batch) Commit(ctx context.Context, p mirror.Position) (mirror.Position, error) {
	p, err := b.Batch.Commit(ctx, p)
	if err != nil {
		return p, err
	}
	return p, b.d.render(ctx)
}

// name of the file of a month.
func (d *Directory) name(m sqlite.Month) string {
	return m.Table + "/" + m.Month + d.format.Extension()
}

// compare marks the months whose files are not as they were written.
func (d *Directory) compare(ctx context.Context) error {
	files, err := d.Files(ctx)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := d.root.Lstat(d.name(f.Month))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && info.Mode().IsRegular() && info.Size() == f.Size && schemas.TimeOf(info.ModTime()) == f.Written {
			continue
		}
		if err := d.Mark(ctx, f.Month); err != nil {
			return err
		}
	}
	return nil
}

// maxAtOnce bounds the months that are written at the same time, and so the memory for them.
const maxAtOnce = 4

// render writes the files of the months that changed, as many at the same time as there are
// cores.
func (d *Directory) render(ctx context.Context) error {
	months, err := d.Changed(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(runtime.GOMAXPROCS(0), maxAtOnce))
	for _, m := range months {
		g.Go(func() error {
			if err := d.write(ctx, m); err != nil {
				return fmt.Errorf("write %s: %w", d.name(m), err)
			}
			return nil
		})
	}
	return g.Wait()
}

// write replaces the file of a month, or removes it if there are no rows.
func (d *Directory) write(ctx context.Context, m sqlite.Month) (err error) {
	t, ok := tables[m.Table]
	if !ok {
		return fmt.Errorf("there is no table %q", m.Table)
	}
	name := d.name(m)
	if err := d.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	draft := m.Table + "/" + draftPrefix + rand.Text()
	f, err := d.root.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = d.root.Remove(draft) }() // unless it was renamed
	rows := 0
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = d.format.Write(buffered, t, func(each func([]any) error) error {
		return d.Rows(ctx, t, d.format.Columns(t), m.Month, func(values []any) error { rows++; return each(values) })
	})
	if err = errors.Join(err, buffered.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	if rows == 0 {
		if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.Done(ctx, sqlite.File{Month: m})
	}
	if err := d.root.Rename(draft, name); err != nil {
		return err
	}
	info, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	return d.Done(ctx, sqlite.File{Month: m, Size: info.Size(), Written: schemas.TimeOf(info.ModTime())})
}

var tables = func() map[string]mirror.Table {
	all := map[string]mirror.Table{mirror.Attachments.Name: mirror.Attachments}
	for _, entity := range schemas.Entities() {
		t := mirror.TableOf(entity)
		all[t.Name] = t
	}
	return all
}()
