// Package postgres keeps a copy in a PostgreSQL database, from version 15 on: tables
// interactions and contacts with typed columns and the whole line as body, attachments, and
// cdds_position, in the schema that search_path names first. A text cannot hold the character
// NUL there: typed columns have U+FFFD in its place, the body has it as it came, escaped.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"cdds/pipeline/mirror"
	"cdds/schemas"
)

// Database is a copy in a database.
type Database struct {
	conn *pgx.Conn
	open *batch
}

// Open connects to a database, such as postgres://user@host/db?sslmode=verify-full. The
// caller closes it.
func Open(ctx context.Context, url string) (*Database, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the address of the database is not one: it looks like postgres://user@host:5432/database") // the reason may quote a password
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	d := &Database{conn: conn}
	if err := d.exec(ctx, `
CREATE TABLE IF NOT EXISTS cdds_position (
  entity text PRIMARY KEY, tenant_id text NOT NULL, job_id text NOT NULL, number integer NOT NULL,
  export_id text NOT NULL, manifest_sha256 text NOT NULL, rows bigint NOT NULL, applied_at timestamptz NOT NULL, format integer NOT NULL)`); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close undoes a batch that was not committed.
func (d *Database) Close() error {
	var err error
	if d.open != nil {
		err = d.open.Rollback()
	}
	return errors.Join(err, d.conn.Close(context.Background()))
}

func (d *Database) exec(ctx context.Context, statement string, args ...any) error {
	_, err := d.conn.Exec(ctx, statement, args...)
	return err
}

// each calls found at every row of an answer.
func (d *Database) each(ctx context.Context, query string, args []any, found func(pgx.Rows) error) error {
	rows, err := d.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := found(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Position is zero for a database without rows of the entity.
func (d *Database) Position(ctx context.Context, entity string) (p mirror.Position, err error) {
	err = d.conn.QueryRow(ctx, "SELECT entity, tenant_id, job_id, number, export_id, manifest_sha256, rows, applied_at, format FROM cdds_position WHERE entity = $1", entity).
		Scan(&p.Entity, &p.TenantID, &p.JobID, &p.Number, &p.ExportID, &p.ManifestSHA256, &p.Rows, &p.AppliedAt.Time, &p.Format)
	if errors.Is(err, pgx.ErrNoRows) {
		return mirror.Position{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read the copy's position: %w", err)
	}
	p.AppliedAt = schemas.TimeOf(p.AppliedAt.Time)
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
	err = d.conn.QueryRow(ctx, "SELECT count(*) FROM "+mirror.TableOf(entity).Name).Scan(&n)
	return n, err
}

// Each gives the rows' lines in order.
func (d *Database) Each(ctx context.Context, entity string, each func(body []byte) error) error {
	t := mirror.TableOf(entity)
	return d.each(ctx, fmt.Sprintf("SELECT body FROM %s ORDER BY %s, %s", t.Name, t.Time(), t.ID()), nil, func(rows pgx.Rows) error {
		return each(rows.RawValues()[0])
	})
}

// Attachments gives all there are; contacts have none.
func (d *Database) Attachments(ctx context.Context, entity string, each func(mirror.Attachment) error) error {
	if entity != schemas.EntityInteraction {
		return nil
	}
	return d.each(ctx, `
SELECT started_at, interaction_id, attachment_id, coalesce(name, ''), coalesce(content_type, ''), coalesce(size, 0), coalesce(sha256, ''), coalesce(path, ''), coalesce(problem, '')
FROM attachments ORDER BY started_at, interaction_id, attachment_id`, nil, func(rows pgx.Rows) error {
		var a mirror.Attachment
		if err := rows.Scan(&a.StartedAt.Time, &a.InteractionID, &a.AttachmentID, &a.Name, &a.ContentType, &a.Size, &a.SHA256, &a.Stored, &a.Problem); err != nil {
			return err
		}
		a.StartedAt = schemas.TimeOf(a.StartedAt.Time)
		return each(a)
	})
}

// Unreferenced returns those of the files that no attachment refers to.
func (d *Database) Unreferenced(ctx context.Context, files []string) (gone []string, err error) {
	if len(files) == 0 {
		return nil, nil
	}
	var there bool
	if err := d.conn.QueryRow(ctx, "SELECT to_regclass('attachments') IS NOT NULL").Scan(&there); err != nil {
		return nil, err
	}
	query := "SELECT DISTINCT unnest($1::text[])"
	if there {
		query += " EXCEPT SELECT path FROM attachments WHERE path = ANY($1)"
	}
	err = d.each(ctx, query, []any{files}, func(rows pgx.Rows) error {
		var name string
		err := rows.Scan(&name)
		gone = append(gone, name)
		return err
	})
	return gone, err
}

// types of columns. The order of texts is that of their bytes, as in exports.
var types = map[mirror.Kind]string{
	mirror.Text: `text COLLATE "C"`, mirror.Instant: "timestamptz", mirror.JSON: "jsonb", mirror.Integer: "bigint",
}

// make makes the tables that an entity needs and are not there, and adds the columns that
// those of an earlier version lack. That is part of the batch.
func (d *Database) make(ctx context.Context, entity string) error {
	tables := []mirror.Table{mirror.TableOf(entity)}
	if entity == schemas.EntityInteraction {
		tables = append(tables, mirror.Attachments)
	}
	for _, t := range tables {
		var has []string
		err := d.each(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped", []any{t.Name}, func(rows pgx.Rows) error {
			var name string
			err := rows.Scan(&name)
			has = append(has, name)
			return err
		})
		if err != nil {
			return err
		}
		if len(has) == 0 {
			err = d.exec(ctx, definition(t))
		} else {
			err = d.widen(ctx, entity, t, has)
		}
		if err != nil {
			return err
		}
		for _, c := range t.Indexed {
			if err := d.exec(ctx, fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s_by_%s ON %[1]s (%[2]s)", t.Name, c)); err != nil {
				return err
			}
		}
	}
	return nil
}

func definition(t mirror.Table) string {
	var lines, key []string
	for i, c := range t.Columns {
		line := c.Name + " " + types[c.Kind]
		if i < t.Key {
			key = append(key, c.Name)
		}
		if i < t.Key || c.Name == mirror.Body {
			line += " NOT NULL"
		}
		lines = append(lines, line)
	}
	return fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (%s))", t.Name, strings.Join(lines, ", "), strings.Join(key, ", "))
}
