package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// ErrUnstated says that a query filters by attributes that a row does not state. The
// row may pass or not: it must not be left out.
var ErrUnstated = errors.New("an earlier release stored the row without its attributes; publish it again, or leave the attributes out of the filter")

// checkAttributes is ErrUnstated if the query selects by attributes among rows of which
// one does not state them.
func (w *Warehouse) checkAttributes(ctx context.Context, q Query, t table) error {
	if len(q.Filter.Attributes) == 0 {
		return nil
	}
	q.Filter.Attributes, q.Before = nil, nil
	var at time.Time
	var id string
	err := w.db.Scan(ctx, "look for rows of "+t.name+" without attributes", fmt.Sprintf("SELECT t, id FROM (%s) WHERE passes AND NOT stated LIMIT 1", q.newestOfAll(t, "stated")),
		q.arguments(schemas.RowKey{Time: q.Filter.From}, nil), &at, &id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s %q of %s: %w", q.Filter.Entity, id, schemas.TimeOf(at), ErrUnstated)
}

func allTrue(n int) []bool {
	all := make([]bool, n)
	for i := range all {
		all[i] = true
	}
	return all
}

// appendColumn appends a column of a block.
func appendColumn(to driver.BatchColumn, rows any) error {
	maps, ok := rows.([]map[string]string)
	if !ok {
		return to.Append(rows)
	}
	var a attributes
	for _, m := range maps {
		a.of(m)
		if err := to.AppendRow(&a); err != nil {
			return err
		}
	}
	return nil
}

// attributes are those of one event, by name: the same event is always the same row.
// Through a map, the client would copy each name and value once more.
type attributes struct {
	pairs []pair
	at    int
}

type pair struct{ name, value string }

var _ column.IterableOrderedMap = (*attributes)(nil)

func (a *attributes) of(m map[string]string) {
	a.pairs = a.pairs[:0]
	for name, value := range m {
		a.pairs = append(a.pairs, pair{name, value})
	}
	slices.SortFunc(a.pairs, func(p, q pair) int { return strings.Compare(p.name, q.name) })
}

// Iterator begins with the first.
func (a *attributes) Iterator() column.MapIterator {
	a.at = -1
	return a
}

// Next goes to the next one, if there is one.
func (a *attributes) Next() bool {
	a.at++
	return a.at < len(a.pairs)
}

// Key is its name.
func (a *attributes) Key() any { return &a.pairs[a.at].name }

// Value is its value.
func (a *attributes) Value() any { return &a.pairs[a.at].value }

// Put is for reading, which nobody does this way.
func (a *attributes) Put(any, any) { panic("warehouse: attributes are written only") }
