// Package sqlite keeps a copy in a SQLite database of one file. Its tables are interactions
// and contacts with typed columns and the whole line as body, attachments, and
// cdds_position. Times are texts in UTC such as 2026-11-01T07:13:35.364Z, which SQLite's
// date functions read.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"cdds/pipeline/mirror"
	"cdds/schemas"
)

// Database is a copy in a file.
type Database struct {
	file string
	db   *sql.DB
	conn *sql.Conn
	open *batch
	// tracks says that months are noted in which something changes.
	tracks bool
}

// Open opens the database in a file, which it makes if need be. The caller closes it.
func Open(ctx context.Context, file string) (*Database, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	// One writer at a time; readers see the copy as the last run left it (write-ahead log,
	// https://sqlite.org/wal.html). synchronous=FULL: what is committed survives a power cut.
	q := url.Values{"_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-32768)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", file, err), db.Close())
	}
	d := &Database{file: path, db: db, conn: conn}
	if err := d.exec(ctx, `
CREATE TABLE IF NOT EXISTS cdds_position (
  entity TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, job_id TEXT NOT NULL, number INTEGER NOT NULL,
  export_id TEXT NOT NULL, manifest_sha256 TEXT NOT NULL, rows INTEGER NOT NULL, applied_at TEXT NOT NULL, format INTEGER NOT NULL)`); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", file, err), d.Close())
	}
	return d, nil
}

// Close undoes a batch that was not committed.
func (d *Database) Close() error {
	var err error
	if d.open != nil {
		err = d.open.Rollback()
	}
	return errors.Join(err, d.conn.Close(), d.db.Close())
}

func (d *Database) exec(ctx context.Context, statement string, args ...any) error {
	_, err := d.conn.ExecContext(ctx, statement, args...)
	return inUse(err)
}

// each calls found at every row of an answer.
func (d *Database) each(ctx context.Context, query string, args []any, found func(*sql.Rows) error) (err error) {
	rows, err := d.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return inUse(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := found(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// inUse is mirror.ErrInUse for the answer that another one is writing.
func inUse(err error) error {
	var e *driver.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY {
		return fmt.Errorf("%w: %w", mirror.ErrInUse, err)
	}
	return err
}

// Position is zero for a database without rows of the entity.
func (d *Database) Position(ctx context.Context, entity string) (p mirror.Position, err error) {
	var applied string
	err = d.conn.QueryRowContext(ctx, "SELECT entity, tenant_id, job_id, number, export_id, manifest_sha256, rows, applied_at, format FROM cdds_position WHERE entity = ?", entity).
		Scan(&p.Entity, &p.TenantID, &p.JobID, &p.Number, &p.ExportID, &p.ManifestSHA256, &p.Rows, &applied, &p.Format)
	if errors.Is(err, sql.ErrNoRows) {
		return mirror.Position{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read the copy's position: %w", err)
	}
	if p.AppliedAt, err = schemas.ParseTime(applied); err != nil {
		return p, &mirror.ChangedError{Detail: "its position: " + err.Error()}
	}
	if p.Format > mirror.Format {
		return p, mirror.Check(p, p.Rows)
	}
	rows, err := d.count(ctx, entity)
	if err != nil {
		return p, &mirror.ChangedError{Detail: err.Error()}
	}
	return p, mirror.Check(p, rows)
}

func (d *Database) count(ctx context.Context, entity string) (n int64, err error) {
	err = d.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+mirror.TableOf(entity).Name).Scan(&n)
	return n, err
}

// make makes the tables that an entity needs and are not there. That is part of the batch.
func (d *Database) make(ctx context.Context, entity string) error {
	tables := []mirror.Table{mirror.TableOf(entity)}
	if entity == schemas.EntityInteraction {
		tables = append(tables, mirror.Attachments)
	}
	for _, t := range tables {
		if err := d.exec(ctx, definition(t)); err != nil {
			return err
		}
		if err := d.widen(ctx, entity, t); err != nil {
			return err
		}
		for _, c := range t.Indexed {
			if err := d.exec(ctx, fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s_by_%s ON %[1]s (%[2]s)", t.Name, c)); err != nil {
				return err
			}
		}
		if err := d.track(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func typed(c mirror.Column) string {
	if c.Kind == mirror.Integer {
		return c.Name + " INTEGER"
	}
	return c.Name + " TEXT"
}

func definition(t mirror.Table) string {
	var lines, key []string
	for i, c := range t.Columns {
		line := typed(c)
		if i < t.Key {
			key = append(key, c.Name)
		}
		if i < t.Key || i == len(t.Columns)-1 {
			line += " NOT NULL"
		}
		lines = append(lines, line)
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s, PRIMARY KEY (%s))", t.Name, strings.Join(lines, ", "), strings.Join(key, ", "))
}

// Each gives the rows' lines in order.
func (d *Database) Each(ctx context.Context, entity string, each func(body []byte) error) error {
	t := mirror.TableOf(entity)
	var body sql.RawBytes
	return d.each(ctx, fmt.Sprintf("SELECT body FROM %s ORDER BY %s, %s", t.Name, t.Time(), t.ID()), nil, func(rows *sql.Rows) error {
		if err := rows.Scan(&body); err != nil {
			return err
		}
		return each(body)
	})
}

// Attachments gives all there are; contacts have none.
func (d *Database) Attachments(ctx context.Context, entity string, each func(mirror.Attachment) error) error {
	if entity != schemas.EntityInteraction {
		return nil
	}
	return d.each(ctx, `
SELECT started_at, interaction_id, attachment_id, coalesce(name, ''), coalesce(content_type, ''), size, coalesce(sha256, ''), coalesce(path, ''), coalesce(problem, '')
FROM attachments ORDER BY started_at, interaction_id, attachment_id`, nil, func(rows *sql.Rows) (err error) {
		var a mirror.Attachment
		var started string
		if err := rows.Scan(&started, &a.InteractionID, &a.AttachmentID, &a.Name, &a.ContentType, &a.Size, &a.SHA256, &a.Stored, &a.Problem); err != nil {
			return err
		}
		if a.StartedAt, err = schemas.ParseTime(started); err != nil {
			return err
		}
		return each(a)
	})
}

// Unreferenced returns those of the files that no attachment refers to.
func (d *Database) Unreferenced(ctx context.Context, files []string) ([]string, error) {
	var gone []string
	for some := range slices.Chunk(files, 500) {
		marks := strings.TrimSuffix(strings.Repeat("(?),", len(some)), ",")
		args := make([]any, len(some))
		for i, f := range some {
			args[i] = f
		}
		err := d.each(ctx, "WITH asked (path) AS (VALUES "+marks+") SELECT DISTINCT path FROM asked WHERE path NOT IN (SELECT path FROM attachments WHERE path IS NOT NULL AND path IN (SELECT path FROM asked))", args, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			gone = append(gone, name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return gone, nil
}
