package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cdds/pipeline/mirror"
	"cdds/schemas"
)

// batch is one transaction. Removals, rows and attachments go to temporary tables with COPY,
// some at a time, and from there into the copy with one statement each.
type batch struct {
	d        *Database
	tx       pgx.Tx
	entity   string
	table    mirror.Table
	released func(string) error

	held  [][]any // of the temporary table into
	bytes int
	into  string
}

// What is held before it is copied.
const (
	holdRows  = 5000
	holdBytes = 8 << 20
)

// The temporary tables, in the order in which they are used.
const (
	removals = "cdds_removals"
	rows     = "cdds_rows"
	files    = "cdds_attachments"
)

// Begin begins a transaction; mirror.ErrInUse says that another process writes.
func (d *Database) Begin(ctx context.Context, entity string, released func(file string) error) (_ mirror.Batch, err error) {
	if d.open != nil {
		return nil, errors.New("another run is being applied")
	}
	tx, err := d.conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	b := &batch{d: d, tx: tx, entity: entity, table: mirror.TableOf(entity), released: released, into: removals}
	d.open = b
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Rollback())
		}
	}()
	var locked bool
	if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock(hashtext('cdds copy ' || current_schema()))").Scan(&locked); err != nil {
		return nil, err
	}
	if !locked {
		return nil, mirror.ErrInUse
	}
	if err := d.make(ctx, entity); err != nil {
		return nil, err
	}
	for _, statement := range []string{
		fmt.Sprintf("CREATE TEMPORARY TABLE %s (at timestamptz, id text) ON COMMIT DROP", removals),
		fmt.Sprintf("CREATE TEMPORARY TABLE %s (LIKE %s) ON COMMIT DROP", rows, b.table.Name),
	} {
		if err := d.exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	if entity != schemas.EntityInteraction {
		return b, nil
	}
	return b, d.exec(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s (LIKE attachments) ON COMMIT DROP", files))
}

func (b *batch) Clear(ctx context.Context) error { return b.remove(ctx, "", "TRUE") }

func (b *batch) RemoveBefore(ctx context.Context, t schemas.Time) error {
	return b.remove(ctx, "", "of."+b.table.Time()+" < $1", t.Time)
}

// remove removes rows, and lists their files.
func (b *batch) remove(ctx context.Context, using, condition string, args ...any) error {
	if err := b.release(ctx, using, condition, args...); err != nil {
		return err
	}
	if using != "" {
		using = "USING " + using
	}
	return b.d.exec(ctx, fmt.Sprintf("DELETE FROM %s of %s WHERE %s", b.table.Name, using, condition), args...)
}

// release removes attachments, and lists their files. Their key begins as that of rows.
func (b *batch) release(ctx context.Context, using, condition string, args ...any) error {
	if b.entity != schemas.EntityInteraction {
		return nil
	}
	if using != "" {
		using = "USING " + using
	}
	return b.d.each(ctx, fmt.Sprintf("DELETE FROM attachments of %s WHERE %s RETURNING coalesce(of.path, '')", using, condition), args, func(rows pgx.Rows) error {
		var file string
		if err := rows.Scan(&file); err != nil || file == "" {
			return err
		}
		return b.released(file)
	})
}

func (b *batch) Remove(ctx context.Context, r schemas.Removal) error {
	var at any
	if !r.Time.IsZero() {
		at = r.Time.Time
	}
	return b.hold(ctx, removals, len(r.ID), at, r.ID)
}

func (b *batch) Put(ctx context.Context, row mirror.Row) error {
	values := make([]any, 0, len(row.Values)+1)
	for _, v := range row.Values {
		values = append(values, stored(v))
	}
	return b.hold(ctx, rows, 3*len(row.Body), append(values, string(row.Body))...)
}

// stored is a value as the database can have it.
func stored(v any) any {
	if text, ok := v.(string); ok && (strings.Contains(text, "\x00") || strings.Contains(text, `\u0000`)) {
		return strings.NewReplacer("\x00", "\uFFFD", `\u0000`, "\uFFFD").Replace(text)
	}
	return v
}

func (b *batch) Attach(ctx context.Context, a mirror.Attachment) error {
	null := func(s string) any {
		if s == "" {
			return nil
		}
		return stored(s)
	}
	return b.hold(ctx, files, 500, a.StartedAt.Time, a.InteractionID, a.AttachmentID, null(a.Name), null(a.ContentType), null(a.SHA256), null(a.Stored), null(a.Problem), a.Size)
}

// hold holds a row of a temporary table until it is copied.
func (b *batch) hold(ctx context.Context, into string, size int, values ...any) error {
	if err := b.upTo(ctx, into); err != nil {
		return err
	}
	b.held, b.bytes = append(b.held, values), b.bytes+size
	if len(b.held) < holdRows && b.bytes < holdBytes {
		return nil
	}
	return b.copy(ctx)
}

func (b *batch) copy(ctx context.Context) error {
	if len(b.held) == 0 {
		return nil
	}
	columns := map[string][]string{removals: {"at", "id"}, rows: names(b.table), files: names(mirror.Attachments)}[b.into]
	_, err := b.d.conn.CopyFrom(ctx, pgx.Identifier{b.into}, columns, pgx.CopyFromRows(b.held))
	b.held, b.bytes = b.held[:0], 0
	return err
}

func names(t mirror.Table) (all []string) {
	for _, c := range t.Columns {
		all = append(all, c.Name)
	}
	return all
}

// upTo brings into the copy what temporary tables before one have.
func (b *batch) upTo(ctx context.Context, into string) error {
	for b.into != into {
		if err := b.copy(ctx); err != nil {
			return err
		}
		var err error
		switch b.into {
		case removals:
			b.into, err = rows, b.applyRemovals(ctx)
		case rows:
			b.into, err = files, b.applyRows(ctx)
		case files:
			b.into, err = "", b.applyAttachments(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) applyRemovals(ctx context.Context) error {
	if err := b.d.exec(ctx, "ANALYZE "+removals); err != nil {
		return err
	}
	if b.entity == schemas.EntityInteraction { // before the rows, which say what times an id has
		err := b.release(ctx, removals+" gone", "of.interaction_id = gone.id AND (gone.at IS NULL OR of.started_at = gone.at)")
		if err != nil {
			return err
		}
	}
	return b.d.exec(ctx, fmt.Sprintf("DELETE FROM %s of USING %s gone WHERE of.%s = gone.id AND (gone.at IS NULL OR of.%s = gone.at)", b.table.Name, removals, b.table.ID(), b.table.Time()))
}

func (b *batch) applyRows(ctx context.Context) error {
	if err := b.d.exec(ctx, "ANALYZE "+rows); err != nil {
		return err
	}
	same := fmt.Sprintf("of.%s = came.%[1]s AND of.%s = came.%[2]s", b.table.Time(), b.table.ID())
	if err := b.release(ctx, rows+" came", same); err != nil {
		return err
	}
	var set, given []string
	all := names(b.table)
	for _, name := range all {
		given = append(given, "came."+name)
	}
	for _, name := range all[b.table.Key:] {
		set = append(set, name+" = came."+name)
	}
	return b.d.exec(ctx, fmt.Sprintf("MERGE INTO %s of USING %s came ON %s WHEN MATCHED THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)",
		b.table.Name, rows, same, strings.Join(set, ", "), strings.Join(all, ", "), strings.Join(given, ", ")))
}

func (b *batch) applyAttachments(ctx context.Context) error {
	if b.entity != schemas.EntityInteraction {
		return nil
	}
	all := strings.Join(names(mirror.Attachments), ", ")
	return b.d.exec(ctx, fmt.Sprintf("INSERT INTO attachments (%s) SELECT %[1]s FROM %s", all, files))
}

func (b *batch) Commit(ctx context.Context, p mirror.Position) (mirror.Position, error) {
	if err := b.upTo(ctx, ""); err != nil {
		return p, err
	}
	count, err := b.d.count(ctx, b.entity)
	if err != nil {
		return p, err
	}
	p.Rows = count
	err = b.d.exec(ctx, `
INSERT INTO cdds_position (entity, tenant_id, job_id, number, export_id, manifest_sha256, rows, applied_at, format) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (entity) DO UPDATE SET tenant_id = excluded.tenant_id, job_id = excluded.job_id, number = excluded.number, export_id = excluded.export_id,
  manifest_sha256 = excluded.manifest_sha256, rows = excluded.rows, applied_at = excluded.applied_at, format = excluded.format`,
		p.Entity, p.TenantID, p.JobID, p.Number, p.ExportID, p.ManifestSHA256, p.Rows, p.AppliedAt.Time, p.Format)
	if err != nil {
		return p, err
	}
	// Interrupted, one could not say whether it is committed.
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	b.d.open = nil
	return p, b.tx.Commit(commit)
}

// commitTimeout bounds a commit that nobody can interrupt.
const commitTimeout = 5 * time.Minute

// Rollback forgets the batch; after Commit it does nothing.
func (b *batch) Rollback() error {
	if b.d.open != b {
		return nil
	}
	b.d.open = nil
	// Whatever ended the run, its context may be over.
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	if err := b.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) && !b.d.conn.IsClosed() {
		return err
	}
	return nil
}
