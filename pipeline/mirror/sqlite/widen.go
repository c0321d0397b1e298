package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"cdds/pipeline/mirror"
)

// widen adds the columns that a table of an earlier version lacks, and fills them from the
// bodies.
func (d *Database) widen(ctx context.Context, entity string, t mirror.Table) error {
	has, err := d.columns(ctx, t.Name)
	if err != nil {
		return err
	}
	var lacks []int
	for i, c := range t.Columns {
		if slices.Contains(has, c.Name) {
			continue
		}
		lacks = append(lacks, i)
		if err := d.exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", t.Name, typed(c))); err != nil {
			return err
		}
	}
	if len(lacks) == 0 || t.Name != mirror.TableOf(entity).Name {
		return nil
	}
	return d.fill(ctx, entity, t, lacks)
}

func (d *Database) columns(ctx context.Context, table string) (names []string, err error) {
	err = d.each(ctx, "SELECT name FROM pragma_table_info(?)", []any{table}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	})
	return names, err
}

// fillAtOnce bounds the bodies that are held.
const fillAtOnce = 500

// fill sets columns of every row as its body says.
func (d *Database) fill(ctx context.Context, entity string, t mirror.Table, columns []int) error {
	var set []string
	for _, i := range columns {
		set = append(set, t.Columns[i].Name+" = ?")
	}
	update := fmt.Sprintf("UPDATE %s SET %s WHERE %s = ? AND %s = ?", t.Name, strings.Join(set, ", "), t.Time(), t.ID())
	var after [2]string
	for {
		bodies, err := d.bodies(ctx, t, after)
		if err != nil || len(bodies) == 0 {
			return err
		}
		for _, body := range bodies {
			row, err := mirror.RowOf(entity, body)
			if err != nil {
				return &mirror.ChangedError{Detail: "a body: " + err.Error()}
			}
			after = [2]string{row.Key.Time.String(), row.Key.ID}
			var args []any
			for _, i := range columns {
				args = append(args, stored(row.Values[i]))
			}
			if err := d.exec(ctx, update, append(args, after[0], after[1])...); err != nil {
				return err
			}
		}
	}
}

func (d *Database) bodies(ctx context.Context, t mirror.Table, after [2]string) (all [][]byte, err error) {
	query := fmt.Sprintf("SELECT body FROM %s WHERE (%s, %s) > (?, ?) ORDER BY %[2]s, %[3]s LIMIT %d", t.Name, t.Time(), t.ID(), fillAtOnce)
	err = d.each(ctx, query, []any{after[0], after[1]}, func(rows *sql.Rows) error {
		var body sql.RawBytes
		err := rows.Scan(&body)
		all = append(all, slices.Clone(body))
		return err
	})
	return all, err
}
