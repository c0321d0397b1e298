package console

import (
	"net/url"
	"strings"

	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// auditData is a page of who did what.
type auditData struct {
	Rows []auditRow
	Listing
	Actor, Action, Subject, Outcome, From, To string
	Outcomes                                  []string
	// JSONL and CSV fetch all records that the filter selects, as files.
	JSONL, CSV string
}

// file is where the API gives all records of a filter as a file.
func (c *Console) file(q *request, f ledger.AuditFilter, format string) string {
	v := url.Values{"format": {format}}
	for name, value := range map[string]string{"tenant": q.Tenant(), "actor": f.Actor, "action": f.Action, "subject": f.Subject, "outcome": strings.Join(f.Outcomes, ",")} {
		if value != "" && (name != "tenant" || value != schemas.AllTenants) {
			v.Set(name, value)
		}
	}
	for name, at := range map[string]schemas.Time{"from": f.From, "to": f.To} {
		if !at.IsZero() {
			v.Set(name, at.String())
		}
	}
	return c.API + "/audit/export?" + v.Encode()
}

// Filtered says that a filter is set.
func (d auditData) Filtered() bool {
	return d.Actor+d.Action+d.Subject+d.Outcome+d.From+d.To != ""
}

func (c *Console) audit(q *request) error {
	query := q.r.URL.Query()
	d := auditData{
		Actor: query.Get("actor"), Action: query.Get("action"), Subject: query.Get("subject"), Outcome: query.Get("outcome"),
		From: query.Get("from"), To: query.Get("to"), Outcomes: schemas.Outcomes(),
	}
	f := ledger.AuditFilter{Actor: d.Actor, Action: d.Action, Subject: d.Subject}
	if d.Outcome != "" {
		f.Outcomes = []string{d.Outcome}
	}
	f.From, f.To = q.since(d.From), q.until(d.To)
	d.JSONL, d.CSV = c.file(q, f, "jsonl"), c.file(q, f, "csv")
	page := d.read(query, "time")
	found, err := q.Audit(q.r.Context(), f, page)
	if err != nil {
		return err
	}
	for _, r := range found.Rows {
		d.Rows = append(d.Rows, auditRow{r})
	}
	d.next(found.Next)
	return c.show(q, "audit", view{Title: "Audit", At: "/audit", Data: d})
}
