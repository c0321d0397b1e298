package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"cdds/pipeline/mirror"
)

// Month is what of a table lies in a month, such as 2026-11.
type Month struct{ Table, Month string }

// Track makes the database note the months in which something changes, for who keeps files
// by month. It comes before the first batch.
func (d *Database) Track(ctx context.Context) error {
	d.tracks = true
	return d.exec(ctx, "CREATE TABLE IF NOT EXISTS cdds_changed (name TEXT, month TEXT, PRIMARY KEY (name, month)) WITHOUT ROWID")
}

func (d *Database) track(ctx context.Context, t mirror.Table) error {
	if !d.tracks {
		return nil
	}
	for event, row := range map[string]string{"INSERT": "new", "UPDATE": "new", "DELETE": "old"} {
		if err := d.exec(ctx, fmt.Sprintf(`
CREATE TRIGGER IF NOT EXISTS %[1]s_%[2]s AFTER %[2]s ON %[1]s BEGIN
  INSERT OR IGNORE INTO cdds_changed VALUES ('%[1]s', substr(%[3]s.%[4]s, 1, 7));
END`, t.Name, event, row, t.Time())); err != nil {
			return err
		}
	}
	return nil
}

// Changed returns the months that changed and were not Done since.
func (d *Database) Changed(ctx context.Context) (all []Month, err error) {
	err = d.each(ctx, "SELECT name, month FROM cdds_changed ORDER BY month, name", nil, func(rows *sql.Rows) error {
		var m Month
		err := rows.Scan(&m.Table, &m.Month)
		all = append(all, m)
		return err
	})
	return all, err
}

// All returns the months of a table that have rows.
func (d *Database) All(ctx context.Context, t mirror.Table) (all []Month, err error) {
	err = d.each(ctx, fmt.Sprintf("SELECT DISTINCT substr(%s, 1, 7) FROM %s ORDER BY 1", t.Time(), t.Name), nil, func(rows *sql.Rows) error {
		m := Month{Table: t.Name}
		err := rows.Scan(&m.Month)
		all = append(all, m)
		return err
	})
	return all, err
}

// Done forgets that a month changed.
func (d *Database) Done(ctx context.Context, m Month) error {
	return d.exec(ctx, "DELETE FROM cdds_changed WHERE name = ? AND month = ?", m.Table, m.Month)
}

// Rows gives the rows of a month in order: texts, numbers and nil of the columns. They are
// valid until each returns.
func (d *Database) Rows(ctx context.Context, t mirror.Table, month string, each func(values []any) error) error {
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, c.Name)
	}
	raw, scanned, values := make([]sql.RawBytes, len(columns)), make([]any, len(columns)), make([]any, len(columns))
	for i := range raw {
		scanned[i] = &raw[i]
	}
	// The character after the digit 9 is a colon, so "2026-11:" is past every time of the month.
	return d.each(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s >= ? AND %[3]s < ? ORDER BY %s",
		strings.Join(columns, ", "), t.Name, t.Time(), strings.Join(columns[:t.Key], ", ")), []any{month, month + ":"}, func(rows *sql.Rows) error {
		if err := rows.Scan(scanned...); err != nil {
			return err
		}
		for i, b := range raw {
			if values[i] = []byte(b); b == nil {
				values[i] = nil
			}
		}
		return each(values)
	})
}
