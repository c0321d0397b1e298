package console

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func (c *Console) privacy() {
	c.open("GET /privacy", c.privacyPage)
	c.open("GET /privacy/erase", func(q *request) error { return c.eraseForm(q, eraseData{}) })
	c.open("POST /privacy/erase", c.erase)
	c.open("GET /privacy/erasures/{id}", c.erasurePage)
}

// privacyData are a page of erasures and the latest access requests.
type privacyData struct {
	Rows []erasureRow
	Listing
	State    string
	States   []string
	Requests []schemas.Export
	// Holds are the newest active holds.
	Holds []schemas.Hold
}

// erasureRow is an erasure in words.
type erasureRow struct {
	schemas.Erasure
	// Hold is the one it waits for; nil if it waits for none.
	Hold *schemas.Hold
}

// erasureRow looks up the hold that an erasure waits for.
func (q *request) erasureRow(e schemas.Erasure) erasureRow {
	row := erasureRow{Erasure: e}
	if e.HoldID != "" {
		if h, err := q.Hold(q.r.Context(), e.HoldID); err == nil {
			row.Hold = &h
		}
	}
	return row
}

// Result says what came of it so far.
func (e erasureRow) Result() string {
	switch e.State {
	case schemas.ErasureDone:
		return schemas.Counted(e.Rows, "version") + " removed"
	case schemas.ErasureNothingFound:
		if e.Requested > 1 {
			return fmt.Sprintf("Nothing is stored of %d of %d subjects. Nothing was removed.", e.NotFound, e.Requested)
		}
		return "Nothing is stored of it. Nothing was removed."
	case schemas.ErasureRefused:
		return e.Reason
	}
	return e.Waiting
}

// Similar are ids that it may have been about, if nothing was found of its only subject.
func (e erasureRow) Similar() []string {
	if len(e.Subjects) != 1 {
		return nil
	}
	return e.Subjects[0].Similar
}

// Unknown are subjects of a list of which nothing is stored, as many as are shown.
func (e erasureRow) Unknown() (some []schemas.SubjectOutcome) {
	for _, s := range e.Subjects {
		if s.Outcome == schemas.ErasureNothingFound && len(e.Subjects) > 1 && len(some) < unknownShown {
			some = append(some, s)
		}
	}
	return some
}

// Holds reports whether artifacts still hold what was erased, and nobody asked to delete them.
func (e erasureRow) Holds() (n int) {
	for _, x := range e.Exports {
		if !x.Deleted {
			n++
		}
	}
	return n
}

// unknownShown bounds the subjects without data that a page lists.
const unknownShown = 100

// requestsShown bounds the access requests and holds beside the erasures; History and the list
// of holds have them all.
const requestsShown = 20

func (c *Console) privacyPage(q *request) error {
	query := q.r.URL.Query()
	d := privacyData{State: query.Get("state"), States: []string{schemas.ErasureAccepted, schemas.ErasureHeld, schemas.ErasureDone, schemas.ErasureNothingFound, schemas.ErasureRefused}}
	page := d.read(query, "accepted_at")
	var found ledger.Listed[schemas.Erasure]
	g, ctx := errgroup.WithContext(q.r.Context())
	g.Go(func() (err error) {
		found, err = q.Erasures(ctx, d.State, page)
		return err
	})
	g.Go(func() error {
		requests, err := q.Exports(ctx, ledger.ExportFilter{OfContacts: true}, ledger.Page{Limit: requestsShown})
		d.Requests = requests.Rows
		return err
	})
	holds, err := q.Holds(q.r.Context(), false)
	if err := errors.Join(g.Wait(), err); err != nil {
		return err
	}
	for _, e := range found.Rows {
		d.Rows = append(d.Rows, q.erasureRow(e))
	}
	d.next(found.Next)
	slices.Reverse(holds)
	d.Holds = holds[:min(len(holds), requestsShown)]
	return c.show(q, "privacy", view{Title: "Privacy requests", At: "/privacy", Live: "3s", Data: d})
}

// eraseData is the form of an erasure and, once it was checked, what it would remove.
type eraseData struct {
	schemas.ErasureRequest
	Impact *admin.Impact
}

// Kind is what is to be forgotten: a contact or an interaction.
func (d eraseData) Kind() string {
	if d.InteractionID != "" {
		return schemas.EntityInteraction
	}
	return schemas.EntityContact
}

// ID is that of the contact or interaction.
func (d eraseData) ID() string { return d.ContactID + d.InteractionID }

func (c *Console) eraseForm(q *request, d eraseData, problems ...string) error {
	if !q.who.May(auth.Privacy) {
		return auth.ErrForbidden
	}
	page := "erase-form"
	if d.Impact != nil && len(problems) == 0 {
		page = "erase-confirm"
	}
	return c.show(q, page, view{Title: "New erasure", At: "/privacy", Problems: problems, Data: d})
}

// erase shows what an erasure would remove, and requests it once that was confirmed.
func (c *Console) erase(q *request) error {
	get := q.r.PostFormValue
	d := eraseData{}
	d.ErasureID, d.DeleteArtifacts = get("erasure_id"), get("delete_artifacts") != ""
	if get("kind") == schemas.EntityInteraction {
		d.InteractionID = get("id")
	} else {
		d.ContactID = get("id")
	}
	switch {
	case !q.who.May(auth.Privacy):
		return auth.ErrForbidden
	case strings.TrimSpace(get("id")) == "":
		return c.eraseForm(q, d, "id: give the id of a contact or an interaction")
	case get("then") == "change":
		return c.eraseForm(q, d)
	}
	if get("then") == "erase" {
		made, err := q.Erase(q.r.Context(), d.ErasureRequest)
		if bad := problemsOf(err); bad != nil {
			return c.eraseForm(q, d, bad...)
		}
		if err != nil {
			return err
		}
		return q.goTo("/privacy/erasures/"+made.ErasureID, "erasure.asked")
	}
	if d.ErasureID == "" { // a confirmation sent twice is one erasure
		d.ErasureID = ulid.Make().String()
	}
	impact, err := q.Impact(q.r.Context(), d.ErasureRequest)
	if bad := problemsOf(err); bad != nil {
		return c.eraseForm(q, d, bad...)
	}
	if err != nil {
		return err
	}
	d.Impact = &impact
	return c.eraseForm(q, d)
}

func (c *Console) erasurePage(q *request) error {
	e, err := q.Erasure(q.r.Context(), q.r.PathValue("id"))
	if err != nil {
		return err
	}
	v := view{Title: "Erasure of " + e.About(), At: "/privacy", Data: q.erasureRow(e)}
	if !e.Ended() {
		v.Live = "1s"
	}
	return c.show(q, "erasure", v)
}
