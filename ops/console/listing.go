package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"cdds/pipeline/ledger"
)

// Listing is how a listing was asked for: its order, where the page begins, and which
// columns it has.
type Listing struct {
	Sort      string
	Ascending bool
	Columns   []string
	Choices   []string
	query     url.Values
	More      string
}

// pageRows is how many rows a page of a listing has.
const pageRows = 50

func (l *Listing) read(query url.Values, sort string) ledger.Page {
	l.query, l.Sort, l.Ascending = query, query.Get("sort"), query.Get("order") == "asc"
	if l.Sort == "" {
		l.Sort = sort
	}
	return ledger.Page{
		Sort: l.Sort, Ascending: l.Ascending, Limit: pageRows,
		After: ledger.Place{Value: query.Get("after"), ID: query.Get("after_id")},
	}
}

func (l *Listing) choose(query url.Values, columns []string) {
	l.Choices, l.Columns = columns, columns
	if chosen, ok := query["column"]; ok {
		l.Columns = chosen
	}
}

func (l *Listing) next(p ledger.Place) {
	if p == (ledger.Place{}) {
		return
	}
	l.More = l.with("after", p.Value, "after_id", p.ID)
}

// with is the listing's query with some parameters changed; an empty value leaves one
// out.
func (l *Listing) with(pairs ...string) string {
	q := url.Values{}
	for name, values := range l.query {
		if name != "done" {
			q[name] = values
		}
	}
	for n := 0; n+1 < len(pairs); n += 2 {
		q.Del(pairs[n])
		if pairs[n+1] != "" {
			q.Set(pairs[n], pairs[n+1])
		}
	}
	return "?" + q.Encode()
}

// unset leaves out of a listing's query where its page begins, and what is empty.
func unset(query url.Values) []string {
	pairs := []string{"after", "", "after_id", ""}
	for name := range query {
		if query.Get(name) == "" {
			pairs = append(pairs, name, "")
		}
	}
	return pairs
}

// SortBy is the query that sorts by a column, or turns its order around.
func (l Listing) SortBy(name string) string {
	order := ""
	if l.Sort == name && !l.Ascending {
		order = "asc"
	}
	return l.with("sort", name, "order", order, "after", "", "after_id", "")
}

// Order is the aria-sort of a column.
func (l Listing) Order(name string) string {
	switch {
	case l.Sort != name:
		return "none"
	case l.Ascending:
		return "ascending"
	}
	return "descending"
}

// Has reports whether a column is shown.
func (l Listing) Has(name string) bool { return slices.Contains(l.Columns, name) }

// First reports whether the page is the listing's first.
func (l Listing) First() bool { return l.query.Get("after_id") == "" }

// Begin is the query of the first page.
func (l Listing) Begin() string { return l.with("after", "", "after_id", "") }

// Numbered is a page of a list that is in memory. Such a page has a number.
type Numbered struct {
	Total, Page int
	// Prev and Next are the queries of the pages beside it, or empty.
	Prev, Next string
}

// numberedPage cuts the page that a query names out of a list.
func numberedPage[T any](query url.Values, all []T) ([]T, Numbered) {
	return numberedBy(query, "page", all)
}

// numberedBy is numberedPage for one of several lists on a page: key is what the query calls
// the number.
func numberedBy[T any](query url.Values, key string, all []T) ([]T, Numbered) {
	n, l := Numbered{Total: len(all), Page: 1}, Listing{query: query}
	_, _ = fmt.Sscan(query.Get(key), &n.Page)
	n.Page = max(1, min(n.Page, (len(all)+pageRows-1)/pageRows))
	if n.Page > 1 {
		n.Prev = l.with(key, strconv.Itoa(n.Page-1))
	}
	if n.Page*pageRows < len(all) {
		n.Next = l.with(key, strconv.Itoa(n.Page+1))
	}
	return all[(n.Page-1)*pageRows : min(len(all), n.Page*pageRows)], n
}
