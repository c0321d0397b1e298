package console

import (
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// auditData is a page of who did what.
type auditData struct {
	Rows []auditRow
	Listing
	Actor, Action, Subject, Outcome, From, To string
	Outcomes                                  []string
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
