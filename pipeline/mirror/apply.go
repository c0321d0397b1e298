package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// Applied says what a run changed.
type Applied struct {
	Position
	// Whole says that the copy was started over.
	Whole bool
	// Rows were added or replaced, Removed taken away by name.
	Rows, Removed int64
	// Attachments are how many came, Problems how many of them without their content.
	Attachments, Problems int64
}

// Copy is a destination with the files of its attachments.
type Copy struct {
	Destination
	// Files is nil if attachments are not kept.
	Files *Files
}

// Apply applies a verified run, in one transaction with the position. now is noted as when.
// A run that does not come next is a *LinkError. Whatever the error, nothing of it was
// applied.
func (c *Copy) Apply(ctx context.Context, run *receiver.Export, now schemas.Time) (Applied, error) {
	m := run.Manifest
	batch, err := c.Begin(ctx, m.Filter.Entity, c.suspect)
	if err != nil {
		return Applied{}, err
	}
	a := &application{copy: c, run: run, batch: batch}
	if err := a.all(ctx, now); err != nil {
		var link *LinkError
		if !errors.As(err, &link) { // it says of which run
			err = fmt.Errorf("apply run %s: %w", m.ExportID, err)
		}
		return Applied{}, errors.Join(err, batch.Rollback(), c.sweep(context.WithoutCancel(ctx)))
	}
	return a.Applied, c.sweep(ctx)
}

// suspect notes a file that no attachment may refer to any more.
func (c *Copy) suspect(file string) error {
	if c.Files == nil || file == "" {
		return nil
	}
	return c.Files.suspect(file)
}

// sweep removes the files that no attachment refers to: those of rows that are gone, and
// those of a run that was not committed.
func (c *Copy) sweep(ctx context.Context) error {
	if c.Files == nil {
		return nil
	}
	return c.Files.sweep(func(files []string) ([]string, error) { return c.Unreferenced(ctx, files) })
}

// application is a run that is being applied.
type application struct {
	Applied
	copy  *Copy
	run   *receiver.Export
	batch Batch
	last  schemas.RowKey
}

// all gives the batch everything of the run in the order it wants, and commits.
func (a *application) all(ctx context.Context, now schemas.Time) error {
	m := a.run.Manifest
	at, err := a.copy.Position(ctx, m.Filter.Entity)
	if changed := new(ChangedError); err != nil && !(errors.As(err, &changed) && m.Chain != nil && m.Chain.Whole()) {
		return err // a whole run puts right what somebody else changed
	}
	at.Entity = m.Filter.Entity
	if err := at.follows(m); err != nil {
		return err
	}
	if err := a.copy.sweep(ctx); err != nil { // of a process that was killed
		return err
	}
	if a.Whole = m.Chain.Whole(); a.Whole {
		if err := a.batch.Clear(ctx); err != nil {
			return err
		}
	}
	if m.HistoryFrom != nil {
		if err := a.batch.RemoveBefore(ctx, *m.HistoryFrom); err != nil {
			return err
		}
	}
	for _, kind := range []string{schemas.KindRemoved, "", schemas.KindAttachments} {
		err := a.run.Parts(func(part schemas.Receipt) error {
			if part.Kind != kind {
				return nil
			}
			return a.part(ctx, part)
		})
		if err != nil {
			return err
		}
	}
	if a.copy.Files != nil {
		if err := a.copy.Files.sync(); err != nil {
			return err
		}
	}
	a.Position, err = a.batch.Commit(ctx, at.after(m, a.run.ManifestSHA256, now))
	return err
}

func (a *application) part(ctx context.Context, part schemas.Receipt) error {
	switch part.Kind {
	case schemas.KindRemoved:
		return a.run.Lines(ctx, part, func(line []byte) error {
			r, err := schemas.DecodeRemoval(line)
			if err != nil {
				return fmt.Errorf("a line of %s: %w", part.Name, err)
			}
			a.Removed++
			return a.batch.Remove(ctx, r)
		})
	case schemas.KindAttachments:
		return a.run.Attachments(ctx, part, func(line schemas.AttachmentLine, write func(io.Writer) error) error {
			return a.attach(ctx, line, write)
		})
	}
	// Rows are in the order of the ids that they stand for.
	pseudonyms := a.run.Manifest.FieldPolicy.ReplacesIdentity(a.run.Manifest.Filter.Entity)
	return a.run.Lines(ctx, part, func(line []byte) error {
		row, err := RowOf(a.run.Manifest.Filter.Entity, line)
		if err != nil {
			return fmt.Errorf("a line of %s: %w", part.Name, err)
		}
		if row.Key.Compare(a.last) <= 0 && !(pseudonyms && !row.Key.Time.Before(a.last.Time.Time)) {
			return fmt.Errorf("%s: row %s is out of order", part.Name, row.Key.ID)
		}
		a.Rows, a.last = a.Rows+1, row.Key
		return a.batch.Put(ctx, row)
	})
}

func (a *application) attach(ctx context.Context, line schemas.AttachmentLine, write func(io.Writer) error) error {
	attachment := Attachment{AttachmentLine: line}
	a.Attachments++
	switch {
	case write == nil:
		a.Problems++
	case a.copy.Files != nil:
		stored, err := a.copy.Files.put(line.SHA256, line.Size, write)
		if err != nil {
			return err
		}
		attachment.Stored = stored
	}
	attachment.File = "" // a path in the zip
	return a.batch.Attach(ctx, attachment)
}
