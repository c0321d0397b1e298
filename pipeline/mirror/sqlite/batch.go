package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"cdds/pipeline/mirror"
	"cdds/schemas"
)

// batch is one transaction.
type batch struct {
	d        *Database
	entity   string
	table    mirror.Table
	released func(string) error

	put, attach, removeRow, removeID, files, filesOfID, unattach, unattachID *sql.Stmt
}

// Begin begins a transaction that writes; mirror.ErrInUse says that another process does.
func (d *Database) Begin(ctx context.Context, entity string, released func(file string) error) (_ mirror.Batch, err error) {
	if d.open != nil {
		return nil, errors.New("another run is being applied")
	}
	if err := d.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	b := &batch{d: d, entity: entity, table: mirror.TableOf(entity), released: released}
	d.open = b
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Rollback())
		}
	}()
	if err := d.make(ctx, entity); err != nil {
		return nil, err
	}
	return b, b.prepare(ctx)
}

func (b *batch) prepare(ctx context.Context) error {
	t := b.table
	var names, given []string
	for _, c := range t.Columns {
		names, given = append(names, c.Name), append(given, fmt.Sprintf("%s = excluded.%[1]s", c.Name))
	}
	for _, s := range []struct {
		to  **sql.Stmt
		sql string
	}{
		{&b.put, fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT DO UPDATE SET %s", t.Name, strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1), strings.Join(given[t.Key:], ", "))},
		{&b.removeRow, fmt.Sprintf("DELETE FROM %s WHERE %s = ? AND %s = ?", t.Name, t.Time(), t.ID())},
		{&b.removeID, fmt.Sprintf("DELETE FROM %s WHERE %s = ?", t.Name, t.ID())},
		{&b.files, "SELECT path FROM attachments WHERE started_at = ? AND interaction_id = ? AND path IS NOT NULL"},
		{&b.filesOfID, "SELECT path FROM attachments WHERE (started_at, interaction_id) IN (SELECT started_at, interaction_id FROM interactions WHERE interaction_id = ?) AND path IS NOT NULL"},
		{&b.unattach, "DELETE FROM attachments WHERE started_at = ? AND interaction_id = ?"},
		{&b.unattachID, "DELETE FROM attachments WHERE (started_at, interaction_id) IN (SELECT started_at, interaction_id FROM interactions WHERE interaction_id = ?)"},
		{&b.attach, `INSERT OR REPLACE INTO attachments (started_at, interaction_id, attachment_id, name, content_type, size, sha256, path, problem)
VALUES (?, ?, ?, nullif(?, ''), nullif(?, ''), ?, nullif(?, ''), nullif(?, ''), nullif(?, ''))`},
	} {
		if b.entity != schemas.EntityInteraction && strings.Contains(s.sql, "attachments") {
			continue // contacts have none
		}
		var err error
		if *s.to, err = b.d.conn.PrepareContext(ctx, s.sql); err != nil {
			return err
		}
	}
	return nil
}

// release lists the files that a query finds, and removes what refers to them.
func (b *batch) release(ctx context.Context, files, remove *sql.Stmt, args ...any) error {
	if b.entity != schemas.EntityInteraction {
		return nil
	}
	rows, err := files.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		var file string
		if err := rows.Scan(&file); err != nil {
			return errors.Join(err, rows.Close())
		}
		if err := b.released(file); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if remove == nil {
		return nil
	}
	_, err = remove.ExecContext(ctx, args...)
	return err
}

func (b *batch) Clear(ctx context.Context) error { return b.removeWhere(ctx, "1") }

func (b *batch) RemoveBefore(ctx context.Context, t schemas.Time) error {
	return b.removeWhere(ctx, b.table.Time()+" < ?", t.String())
}

func (b *batch) removeWhere(ctx context.Context, condition string, args ...any) error {
	if b.entity == schemas.EntityInteraction {
		files, err := b.d.conn.PrepareContext(ctx, fmt.Sprintf("SELECT path FROM attachments WHERE path IS NOT NULL AND %s", condition))
		if err != nil {
			return err
		}
		if err := errors.Join(b.release(ctx, files, nil, args...), files.Close()); err != nil {
			return err
		}
		if err := b.d.exec(ctx, "DELETE FROM attachments WHERE "+condition, args...); err != nil {
			return err
		}
	}
	return b.d.exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s", b.table.Name, condition), args...)
}

func (b *batch) Remove(ctx context.Context, r schemas.Removal) error {
	if r.Time.IsZero() {
		if err := b.release(ctx, b.filesOfID, b.unattachID, r.ID); err != nil {
			return err
		}
		_, err := b.removeID.ExecContext(ctx, r.ID)
		return err
	}
	if err := b.release(ctx, b.files, b.unattach, r.Time.String(), r.ID); err != nil {
		return err
	}
	_, err := b.removeRow.ExecContext(ctx, r.Time.String(), r.ID)
	return err
}

func (b *batch) Put(ctx context.Context, row mirror.Row) error {
	if err := b.release(ctx, b.files, b.unattach, row.Key.Time.String(), row.Key.ID); err != nil {
		return err
	}
	args := make([]any, 0, len(row.Values)+1)
	for _, v := range row.Values {
		args = append(args, stored(v))
	}
	_, err := b.put.ExecContext(ctx, append(args, string(row.Body))...)
	return err
}

// stored is a value as the database has it.
func stored(v any) any {
	if t, ok := v.(time.Time); ok {
		return schemas.TimeOf(t).String()
	}
	return v
}

func (b *batch) Attach(ctx context.Context, a mirror.Attachment) error {
	_, err := b.attach.ExecContext(ctx, a.StartedAt.String(), a.InteractionID, a.AttachmentID, a.Name, a.ContentType, a.Size, a.SHA256, a.Stored, a.Problem)
	return err
}

func (b *batch) Commit(ctx context.Context, p mirror.Position) (mirror.Position, error) {
	rows, err := b.d.count(ctx, b.entity)
	if err != nil {
		return p, err
	}
	p.Rows = rows
	if err := b.d.exec(ctx, `INSERT OR REPLACE INTO cdds_position (entity, tenant_id, job_id, number, export_id, manifest_sha256, rows, applied_at, format) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.Entity, p.TenantID, p.JobID, p.Number, p.ExportID, p.ManifestSHA256, p.Rows, p.AppliedAt.String(), p.Format); err != nil {
		return p, err
	}
	// Interrupted, one could not say whether it is committed.
	if err := b.d.exec(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return p, err
	}
	return p, b.done()
}

// Rollback forgets the batch; after Commit it does nothing.
func (b *batch) Rollback() error {
	if b.d.open != b {
		return nil
	}
	// Whatever ended the run, its context may be over.
	_, err := b.d.conn.ExecContext(context.Background(), "ROLLBACK")
	return errors.Join(err, b.done())
}

func (b *batch) done() error {
	b.d.open = nil
	var errs []error
	for _, s := range []*sql.Stmt{b.put, b.attach, b.removeRow, b.removeID, b.files, b.filesOfID, b.unattach, b.unattachID} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
