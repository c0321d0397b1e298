package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	reader "zombiezen.com/go/sqlite"

	"cdds/pipeline/mirror"
	"cdds/schemas"
)

// Month is what of a table lies in a month, such as 2026-11.
type Month struct{ Table, Month string }

// File is what was written of a month.
type File struct {
	Month
	// Size is in bytes; 0 if the month has no rows, and no file.
	Size int64
	// Written is the file's time of modification.
	Written schemas.Time
}

// Track makes the database note the months in which something changes, for who keeps files
// by month. It comes before the first batch.
func (d *Database) Track(ctx context.Context) error {
	d.tracks = true
	return d.exec(ctx, `
CREATE TABLE IF NOT EXISTS cdds_changed (name TEXT, month TEXT, PRIMARY KEY (name, month)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cdds_files (name TEXT, month TEXT, size INTEGER, written TEXT, PRIMARY KEY (name, month)) WITHOUT ROWID`)
}

func (d *Database) track(ctx context.Context, t mirror.Table) error {
	if !d.tracks {
		return nil
	}
	// Within a trigger OR IGNORE would give way to what the statement outside says.
	for event, row := range map[string]string{"INSERT": "new", "UPDATE": "new", "DELETE": "old"} {
		if err := d.exec(ctx, fmt.Sprintf(`
CREATE TRIGGER IF NOT EXISTS %[1]s_%[2]s AFTER %[2]s ON %[1]s BEGIN
  INSERT INTO cdds_changed SELECT '%[1]s', substr(%[3]s.%[4]s, 1, 7)
  WHERE NOT EXISTS (SELECT 1 FROM cdds_changed WHERE name = '%[1]s' AND month = substr(%[3]s.%[4]s, 1, 7));
END`, t.Name, event, row, t.Time())); err != nil {
			return err
		}
	}
	return nil
}

// Changed returns the months that changed, or were marked, and are not done.
func (d *Database) Changed(ctx context.Context) (all []Month, err error) {
	err = d.each(ctx, "SELECT name, month FROM cdds_changed ORDER BY month, name", nil, func(rows *sql.Rows) error {
		var m Month
		err := rows.Scan(&m.Table, &m.Month)
		all = append(all, m)
		return err
	})
	return all, err
}

// Files returns what was written last.
func (d *Database) Files(ctx context.Context) (all []File, err error) {
	err = d.each(ctx, "SELECT name, month, size, written FROM cdds_files ORDER BY month, name", nil, func(rows *sql.Rows) (err error) {
		var f File
		var written string
		if err := rows.Scan(&f.Table, &f.Month.Month, &f.Size, &written); err != nil {
			return err
		}
		f.Written, err = schemas.ParseTime(written)
		all = append(all, f)
		return err
	})
	return all, err
}

// Mark notes that a month has to be written again.
func (d *Database) Mark(ctx context.Context, m Month) error {
	return d.exec(ctx, "INSERT OR IGNORE INTO cdds_changed VALUES (?, ?)", m.Table, m.Month)
}

// Done notes what was written of a month that changed.
func (d *Database) Done(ctx context.Context, f File) error {
	if f.Size == 0 {
		if err := d.exec(ctx, "DELETE FROM cdds_files WHERE name = ? AND month = ?", f.Table, f.Month.Month); err != nil {
			return err
		}
	} else if err := d.exec(ctx, "INSERT OR REPLACE INTO cdds_files VALUES (?, ?, ?, ?)", f.Table, f.Month.Month, f.Size, f.Written.String()); err != nil {
		return err
	}
	return d.exec(ctx, "DELETE FROM cdds_changed WHERE name = ? AND month = ?", f.Table, f.Month.Month)
}

// Rows gives the rows of a month in order: the texts of some columns as bytes, or nil. They are
// valid until each returns. It reads what was committed, through a connection of its own, so that
// several months can be read at the same time.
//
// database/sql would take twice as long: it copies each value twice, and its driver locks the
// connection several times for each column.
func (d *Database) Rows(ctx context.Context, t mirror.Table, columns []mirror.Column, month string, each func(values []any) error) (err error) {
	conn, err := reader.OpenConn(d.file, reader.OpenReadOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	conn.SetInterrupt(ctx.Done())
	rows, _, err := conn.PrepareTransient(fmt.Sprintf("SELECT %s FROM %s WHERE %s >= ? AND %[3]s < ? ORDER BY %s",
		names(columns), t.Name, t.Time(), names(t.Columns[:t.Key])))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Finalize()) }()
	rows.BindText(1, month)
	rows.BindText(2, month+":") // the character after the digit 9: past every time of the month
	texts, values := make([][]byte, len(columns)), make([]any, len(columns))
	for {
		if found, err := rows.Step(); err != nil || !found {
			return cmp.Or(ctx.Err(), err)
		}
		for i := range columns {
			if rows.ColumnType(i) == reader.TypeNull {
				values[i] = nil
				continue
			}
			size := rows.ColumnLen(i)
			texts[i] = slices.Grow(texts[i][:0], size)[:size]
			rows.ColumnBytes(i, texts[i])
			values[i] = texts[i]
		}
		if err := each(values); err != nil {
			return err
		}
	}
}

func names(columns []mirror.Column) string {
	var all []string
	for _, c := range columns {
		all = append(all, c.Name)
	}
	return strings.Join(all, ", ")
}
