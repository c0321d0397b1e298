package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// Paging is what every listing takes.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"At most this many."`
	Cursor string `query:"cursor" maxLength:"2048" doc:"The next of the page before; the other parameters must be the same."`
	Order  string `query:"order" enum:"desc,asc" default:"desc" doc:"The greatest first, or the least."`
}

// cursor is where a page ended and how it was sorted.
type cursor struct {
	ledger.Place
	Sort  string `json:"s"`
	Order string `json:"o"`
}

func (p Paging) page(sort string) (ledger.Page, error) {
	page := ledger.Page{Sort: sort, Ascending: p.Order == "asc", Limit: p.Limit}
	if p.Cursor == "" {
		return page, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err == nil {
		err = schemas.ReadKnown(b, &c)
	}
	if err != nil {
		return page, fmt.Errorf("%w: invalid cursor", ledger.ErrPage)
	}
	if c.Sort != sort || c.Order != p.Order {
		return page, fmt.Errorf("%w: the cursor belongs to another order", ledger.ErrPage)
	}
	page.After = c.Place
	return page, nil
}

// Listing is a page of a listing.
type Listing[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// Next is the cursor of the next page; absent at the end.
	Next string `json:"next,omitempty" doc:"The cursor of the next page; absent at the end."`
}

// listed makes a page's body; show makes an item of a row.
func listed[R, T any](p Paging, sort string, from ledger.Listed[R], show func(R) T) (Listing[T], error) {
	out := Listing[T]{Items: make([]T, len(from.Rows))}
	for n, row := range from.Rows {
		out.Items[n] = show(row)
	}
	if from.Next != (ledger.Place{}) {
		b, err := json.Marshal(cursor{from.Next, sort, p.Order})
		if err != nil {
			return out, err
		}
		out.Next = base64.RawURLEncoding.EncodeToString(b)
	}
	return out, nil
}

// all is a listing that has no further pages: what is in memory, or one export's files.
func all[R, T any](rows []R, show func(R) T) Listing[T] {
	out := Listing[T]{Items: make([]T, len(rows))}
	for n, row := range rows {
		out.Items[n] = show(row)
	}
	return out
}

func same[T any](v T) T { return v }
