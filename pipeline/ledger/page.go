package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Page says which page of a listing to read. Rows are ordered by one column and then
// by id, so that every row has a place of its own: a page begins after the place the
// last one ended, whatever was added meanwhile.
type Page struct {
	// Sort is a name of the listing's sort columns; empty means its default.
	Sort string
	// Ascending turns the order around; the default is the greatest first.
	Ascending bool
	// After is the Place of the last row of the page before; zero begins.
	After Place
	// Limit is how many rows at most, 1 to MaxPage.
	Limit int
}

// MaxPage bounds a page.
const MaxPage = 500

// Place is where a row stands in a listing: its sort column and its id.
type Place struct {
	Value string `json:"v"`
	ID    string `json:"i"`
}

// ErrPage says that a page asked for cannot be: an unknown column or a wrong limit.
var ErrPage = errors.New("the page cannot be listed")

// Listed is a page of rows.
type Listed[T any] struct {
	Rows []T
	// Next is where the page ended; zero if it is the last.
	Next Place
}

// listing describes a table for paging. Expressions are ours, never a user's.
type listing struct {
	what, from string
	// columns is what is read, beside place and id.
	columns string
	// sorts maps a name to an expression, which is Int64 or String.
	sorts map[string]sortColumn
	sort  string
	id    string
}

type sortColumn struct {
	expression string
	text       bool
}

func instant(column string) sortColumn {
	return sortColumn{"toUnixTimestamp64Milli(" + column + ")", false}
}

func number(column string) sortColumn { return sortColumn{"toInt64(" + column + ")", false} }

func text(column string) sortColumn { return sortColumn{"toString(" + column + ")", true} }

// conditions collects what rows must fulfil, values as parameters.
type conditions struct {
	list []string
	// keys are those about the table's key alone, which all rows that replace each other fulfil,
	// or none: what of other rows is shown is not read.
	keys []string
	args []any
}

// key adds a condition about the table's key alone.
func (c *conditions) key(condition, name string, value any) {
	c.keys = append(c.keys, condition)
	c.args = append(c.args, tables.Named(name, value))
}

// where adds a condition with one parameter, which it names as {x:Type}.
func (c *conditions) where(condition, name string, value any) {
	c.list = append(c.list, condition)
	c.args = append(c.args, tables.Named(name, value))
}

// clauses are all conditions.
func (c *conditions) clauses() string {
	sql := ""
	if len(c.keys) > 0 {
		sql = "PREWHERE " + strings.Join(c.keys, " AND ")
	}
	if len(c.list) > 0 {
		sql += " WHERE " + strings.Join(c.list, " AND ")
	}
	return sql
}

// among adds a condition unless there are no values: then every row fulfils it.
func (c *conditions) among(expression, name string, values []string) {
	if len(values) > 0 {
		c.where(fmt.Sprintf("%s IN (SELECT arrayJoin({%s:Array(String)}))", expression, name), name, values)
	}
}

// within adds the bounds that are given: [from, to).
func (c *conditions) within(column string, from, to schemas.Time) {
	if !from.IsZero() {
		c.where("toUnixTimestamp64Milli("+column+") >= {from:Int64}", "from", from.UnixMilli())
	}
	if !to.IsZero() {
		c.where("toUnixTimestamp64Milli("+column+") < {to:Int64}", "to", to.UnixMilli())
	}
}

// list reads one page; scan reads a row's columns.
func list[T any](ctx context.Context, l *Ledger, of listing, p Page, c conditions, scan func(driver.Rows, *T, ...any) error) (Listed[T], error) {
	var page Listed[T]
	if p.Sort == "" {
		p.Sort = of.sort
	}
	by, ok := of.sorts[p.Sort]
	if !ok {
		return page, fmt.Errorf("%w: %s cannot be sorted by %q, only by %s", ErrPage, of.what, p.Sort, strings.Join(slices.Sorted(maps.Keys(of.sorts)), ", "))
	}
	if p.Limit < 1 || p.Limit > MaxPage {
		return page, fmt.Errorf("%w: limit %d is outside 1 to %d", ErrPage, p.Limit, MaxPage)
	}
	direction, beyond := "DESC", "<"
	if p.Ascending {
		direction, beyond = "ASC", ">"
	}
	if p.After != (Place{}) {
		value := "{after:String}"
		if !by.text {
			value = "toInt64OrZero({after:String})"
		}
		c.where(fmt.Sprintf("(%s %s %s OR %s = %s AND %s %s {after_id:String})", by.expression, beyond, value, by.expression, value, of.id, beyond), "after", p.After.Value)
		c.args = append(c.args, tables.Named("after_id", p.After.ID))
	}
	// One more than the page holds tells whether there is another page.
	c.args = append(c.args, tables.Named("limit", uint32(p.Limit+1)))
	sql := fmt.Sprintf("SELECT toString(%s), toString(%s), %s FROM %s %s ORDER BY %s %s, %s %s LIMIT {limit:UInt32}",
		by.expression, of.id, of.columns, of.from, c.clauses(), by.expression, direction, of.id, direction)
	var last Place
	err := l.db.Each(ctx, "list "+of.what, sql, c.args, func(rows driver.Rows) error {
		if len(page.Rows) == p.Limit {
			page.Next = last
			return nil
		}
		var row T
		if err := scan(rows, &row, &last.Value, &last.ID); err != nil {
			return err
		}
		page.Rows = append(page.Rows, row)
		return nil
	})
	return page, err
}

// scanDecoded reads the place of a row and decodes its one column from JSON.
func scanDecoded(rows driver.Rows, v any, place []any) error {
	var body string
	if err := rows.Scan(append(place, &body)...); err != nil {
		return err
	}
	return schemas.Read([]byte(body), v)
}
