package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cdds/pipeline/mirror"
)

// widen adds the columns that a table of an earlier version lacks, and fills them from the
// bodies.
func (d *Database) widen(ctx context.Context, entity string, t mirror.Table, has []string) error {
	var lacks []int
	for i, c := range t.Columns {
		if slices.Contains(has, c.Name) {
			continue
		}
		lacks = append(lacks, i)
		if err := d.exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", t.Name, c.Name, types[c.Kind])); err != nil {
			return err
		}
	}
	if len(lacks) == 0 || t.Name != mirror.TableOf(entity).Name {
		return nil
	}
	return d.fill(ctx, entity, t, lacks)
}

// fillAtOnce bounds the bodies that are held.
const fillAtOnce = 500

// fill sets columns of every row as its body says.
func (d *Database) fill(ctx context.Context, entity string, t mirror.Table, columns []int) error {
	var set []string
	for n, i := range columns {
		set = append(set, fmt.Sprintf("%s = $%d", t.Columns[i].Name, n+3))
	}
	update := fmt.Sprintf("UPDATE %s SET %s WHERE %s = $1 AND %s = $2", t.Name, strings.Join(set, ", "), t.Time(), t.ID())
	page := fmt.Sprintf("SELECT body FROM %s WHERE (%s, %s) > ($1, $2) ORDER BY %[2]s, %[3]s LIMIT %d", t.Name, t.Time(), t.ID(), fillAtOnce)
	at, id := time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC), ""
	for {
		var bodies [][]byte
		err := d.each(ctx, page, []any{at, id}, func(rows pgx.Rows) error {
			bodies = append(bodies, slices.Clone(rows.RawValues()[0]))
			return nil
		})
		if err != nil || len(bodies) == 0 {
			return err
		}
		var updates pgx.Batch
		for _, body := range bodies {
			row, err := mirror.RowOf(entity, body)
			if err != nil {
				return &mirror.ChangedError{Detail: "a body: " + err.Error()}
			}
			at, id = row.Key.Time.Time, row.Key.ID
			args := []any{at, id}
			for _, i := range columns {
				args = append(args, stored(row.Values[i]))
			}
			updates.Queue(update, args...)
		}
		if err := d.conn.SendBatch(ctx, &updates).Close(); err != nil {
			return err
		}
	}
}
