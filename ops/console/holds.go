package console

import (
	"errors"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func (c *Console) holds() {
	c.open("GET /privacy/holds", c.holdList)
	c.open("GET /privacy/hold", func(q *request) error { return c.holdForm(q, schemas.Hold{HoldID: ulid.Make().String()}) })
	c.open("POST /privacy/hold", c.createHold)
	c.open("GET /privacy/holds/{id}", c.holdPage)
	c.open("POST /privacy/holds/{id}/release", c.releaseHold)
	c.open("POST /privacy/holds/{id}/withdraw", func(q *request) error {
		h, err := q.WithdrawRelease(q.r.Context(), q.r.PathValue("id"))
		if err != nil {
			return err
		}
		return q.goTo("/privacy/holds/"+h.HoldID, "hold.withdrawn")
	})
}

// holdsData is a page of holds, the newest first.
type holdsData struct {
	Rows []schemas.Hold
	Numbered
	State  string
	States []string
}

// States of a hold, as the filter of the list names them.
const (
	holdActive   = "active"
	holdReleased = "released"
)

func (c *Console) holdList(q *request) error {
	all, err := q.Holds(q.r.Context(), true)
	if err != nil {
		return err
	}
	query := q.r.URL.Query()
	d := holdsData{State: query.Get("state"), States: []string{holdActive, holdReleased}}
	all = slices.DeleteFunc(all, func(h schemas.Hold) bool { return d.State != "" && h.Active() != (d.State == holdActive) })
	slices.Reverse(all)
	d.Rows, d.Numbered = numberedPage(query, all)
	return c.show(q, "holds", view{Title: "Holds", At: "/privacy", Data: d})
}

func (c *Console) holdForm(q *request, h schemas.Hold, problems ...string) error {
	if !q.who.May(auth.Privacy) {
		return auth.ErrForbidden
	}
	return c.show(q, "hold-form", view{Title: "New hold", At: "/privacy", Problems: problems, Data: h})
}

func (c *Console) createHold(q *request) error {
	if !q.who.May(auth.Privacy) {
		return auth.ErrForbidden
	}
	contacts, err := q.listed()
	if err != nil {
		return err
	}
	get := q.r.PostForm.Get
	h := schemas.Hold{
		HoldID: get("hold_id"), Name: strings.TrimSpace(get("name")), Reason: strings.TrimSpace(get("reason")),
		Contacts: contacts, Interactions: idsIn(get("interactions")), Exports: idsIn(get("exports")),
	}
	var known bool
	var problems []string
	if h.From, known = instantOf(get("from")); !known {
		problems = append(problems, "from: give a date and a time")
	}
	if h.To, known = instantOf(get("to")); !known {
		problems = append(problems, "to: give a date and a time")
	}
	if len(problems) > 0 {
		return c.holdForm(q, h, problems...)
	}
	made, err := q.CreateHold(q.r.Context(), h)
	var conflict *admin.ConflictError
	if errors.As(err, &conflict) { // a form sent twice makes one hold
		if first, known := q.Hold(q.r.Context(), h.HoldID); known == nil && first.CreatedBy == q.who.Name {
			made, err = first, nil
		}
	}
	if bad := problemsOf(err); bad != nil {
		return c.holdForm(q, h, bad...)
	}
	if err != nil {
		return err
	}
	return q.goTo("/privacy/holds/"+made.HoldID, "hold.made")
}

// holdData is a hold, and the erasures that wait for it.
type holdData struct {
	schemas.Hold
	Waiting []erasureRow
	// TwoPeople says that a second person must release it, and Mine that the reader
	// requested the release.
	TwoPeople, Mine bool
}

func (c *Console) holdPage(q *request) error {
	h, err := q.Hold(q.r.Context(), q.r.PathValue("id"))
	if err != nil {
		return err
	}
	d := holdData{Hold: h, TwoPeople: q.TwoPeople, Mine: h.ReleaseRequestedBy == q.who.Name}
	held, err := q.Erasures(q.r.Context(), schemas.ErasureHeld, ledger.Page{Sort: "accepted_at", Limit: ledger.MaxPage})
	if err != nil {
		return err
	}
	for _, e := range held.Rows {
		if e.HoldID == h.HoldID {
			d.Waiting = append(d.Waiting, erasureRow{Erasure: e})
		}
	}
	v := view{Title: h.Name, At: "/privacy", Data: d}
	if h.Active() || len(d.Waiting) > 0 {
		v.Live = "3s"
	}
	return c.show(q, "hold", v)
}

func (c *Console) releaseHold(q *request) error {
	h, err := q.ReleaseHold(q.r.Context(), q.r.PathValue("id"))
	if err != nil {
		return err
	}
	if h.Active() {
		return q.goTo("/privacy/holds/"+h.HoldID, "hold.requested")
	}
	return q.goTo("/privacy/holds/"+h.HoldID, "hold.released")
}
