package console

import (
	"net/http"
	"strconv"
	"time"

	"cdds/ops/spreadsheet"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// csvColumns are the columns of the list of exports as a file. Export and state are always in.
var csvColumns = []struct {
	name string
	of   func(schemas.Export) string
}{
	{"job", func(e schemas.Export) string { return requestOf(e).JobID }},
	{"entity", func(e schemas.Export) string { return requestOf(e).Entity }},
	{"rows", func(e schemas.Export) string { return strconv.FormatInt(e.Done.Rows, 10) }},
	{"size", func(e schemas.Export) string { return strconv.FormatInt(e.Done.SealedBytes, 10) }},
	{"requested", func(e schemas.Export) string { return e.RequestedAt.String() }},
	{"by", func(e schemas.Export) string { return requestOf(e).RequestedBy }},
	{"took", func(e schemas.Export) string {
		if e.EndedAt.IsZero() {
			return ""
		}
		return strconv.FormatFloat(e.EndedAt.Sub(e.RequestedAt.Time).Seconds(), 'f', 3, 64)
	}},
}

// csvTitles say the unit of a column where its name does not.
var csvTitles = map[string]string{"size": "size_bytes", "took": "took_seconds", "requested": "requested_at", "by": "requested_by"}

func requestOf(e schemas.Export) schemas.ExportRequest {
	if e.Request == nil {
		return schemas.ExportRequest{}
	}
	return *e.Request
}

// historyCSV is the list of exports with the filter, the order and the columns of the page, as
// a file of all rows. A connection that breaks off means that rows are missing.
func (c *Console) historyCSV(q *request) error {
	var l Listing
	query := q.r.URL.Query()
	page := l.read(query, "requested_at")
	page.Limit = ledger.MaxPage
	l.choose(query, exportColumns)
	found, err := q.Exports(q.r.Context(), q.exportFilter(), page)
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	q.w.Header().Set("Content-Disposition", `attachment; filename="exports.csv"`)
	rows, control := spreadsheet.New(q.w), http.NewResponseController(q.w)
	head := []string{"export", "state"}
	for _, column := range csvColumns {
		if l.Has(column.name) {
			title := csvTitles[column.name]
			if title == "" {
				title = column.name
			}
			head = append(head, title)
		}
	}
	err = rows.Write(head...)
	for err == nil {
		_ = control.SetWriteDeadline(time.Now().Add(pageTimeout)) // for who does not read
		for _, e := range found.Rows {
			cells := []string{e.ExportID, string(e.State)}
			for _, column := range csvColumns {
				if l.Has(column.name) {
					cells = append(cells, column.of(e))
				}
			}
			if err = rows.Write(cells...); err != nil {
				break
			}
		}
		if page.After = found.Next; err != nil || page.After == (ledger.Place{}) {
			break
		}
		found, err = q.Exports(q.r.Context(), q.exportFilter(), page)
	}
	if err != nil || rows.Flush() != nil {
		panic(http.ErrAbortHandler) // what was sent must not look whole
	}
	return nil
}
