package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// hold makes a hold known.
func (d *desk) hold(id, name string, change func(*schemas.Hold)) {
	d.t.Helper()
	at := schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC))
	h := schemas.Hold{TenantID: d.who.Tenant, HoldID: id, Name: name, Reason: "counsel asked", CreatedAt: at, CreatedBy: "ada", UpdatedAt: at, Revision: 1}
	change(&h)
	d.define(&h)
}

func TestAHoldNamesWhatItKeepsAndIsMadeOnce(t *testing.T) {
	d := newDesk(t, "kept", 1, 1)
	d.who.Role = schemas.RolePrivacy
	d.holds("/privacy", "Nothing is held.", `href="/console/privacy/hold"`)
	d.holds("/privacy/holds", "There is no hold.")
	form := d.fields(d.get("/privacy/hold"))
	for problem, change := range map[string]url.Values{
		"say why it is held":         {"reason": {" "}},
		"say what is held":           {},
		"give from and to":           {"from": {"2026-01-01T00:00"}},
		"give a date and":            {"to": {"soon"}},
		"is not the id of an export": {"exports": {"some/where"}},
		"from before to":             {"from": {"2026-01-02T00:00"}, "to": {"2026-01-01T00:00"}},
	} {
		wrong := url.Values{"hold_id": form["hold_id"], "name": {"Smith v. Acme"}, "reason": {"counsel <asked>"}}
		for name, values := range change {
			wrong[name] = values
		}
		if page := d.send("/privacy/hold", wrong); !strings.Contains(page, problem) || !strings.Contains(page, `value="Smith v. Acme"`) {
			t.Errorf("%v: the page lacks %q or what was given:\n%s", change, problem, page)
		}
	}
	form.Set("name", "Smith v. Acme")
	form.Set("reason", "counsel <asked>")
	form.Set("ids", "ann")
	form.Set("interactions", "i-1\r\ni-2\r\ni-1")
	form.Set("exports", "export-0000")
	form.Set("from", "2026-01-01T00:00")
	form.Set("to", "2026-02-01T00:00")
	_, first := d.upload("/privacy/hold", form, "ben\nann\n")
	_, second := d.upload("/privacy/hold", form, "ben\nann\n")
	if first != second || !strings.HasPrefix(first, "/privacy/holds/") {
		t.Fatalf("a form sent twice ends at %q and %q", first, second)
	}
	d.holds(first, "The hold is made.", "2 contacts, 2 interactions, 1 export, everything from", "counsel &lt;asked&gt;", "<code>ben</code>", `href="/console/history/export-0000"`, "by ada", "Release hold")
	d.holds("/privacy", "Smith v. Acme", `s-held">Active<`)
	if page := d.holds("/history/export-0000", "keeps the files"); strings.Contains(page, "/export-0000/delete") {
		t.Error("files that are held can be deleted")
	}
	d.who.Role = schemas.RoleAdministrator
	if page := d.send("/history/export-0000/delete", nil); !strings.Contains(page, "keeps the files of export export-0000") {
		t.Errorf("deleting files that are held answers\n%s", page)
	}
}

func TestAHeldErasureNamesTheHold(t *testing.T) {
	d := newDesk(t, "waits", 0, 0)
	d.who.Role = schemas.RolePrivacy
	d.store("ann", "ben")
	d.hold("case-12", "Smith v. Acme", func(h *schemas.Hold) { h.Contacts = []string{"ann"} })
	for id, held := range map[string]bool{"ann": true, "ben": false} {
		page := d.send("/privacy/erase", url.Values{"kind": {"contact"}, "id": {id}, "then": {"check"}})
		if strings.Contains(page, `A hold keeps some of it`) != held || held && !strings.Contains(page, `<a href="/console/privacy/holds/case-12">Smith v. Acme</a>`) {
			t.Errorf("before an erasure of %s the page is\n%s", id, page)
		}
	}
	at := schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	check(t, d.ledger.SaveErasure(t.Context(), schemas.Erasure{
		Request: schemas.ErasureRequest{TenantID: "waits", ErasureID: "e1", ContactID: "ann", RequestedAt: at, RequestedBy: "ada"}, AcceptedAt: at,
		State: schemas.ErasureHeld, HoldID: "case-12", Waiting: "the hold case-12 (Smith v. Acme) keeps some of it",
	}))
	d.holds("/privacy?state=held", `s-held">Held<`, `The hold <a href="/console/privacy/holds/case-12">Smith v. Acme</a> keeps some of it.`)
	d.holds("/privacy/erasures/e1", `<a href="/console/privacy/holds/case-12">Smith v. Acme</a>`, "runs when the hold is released")
	d.holds("/privacy/holds/case-12", `href="/console/privacy/erasures/e1"`)
}

func TestTwoPeopleReleaseAHold(t *testing.T) {
	d := newDesk(t, "two", 0, 0)
	d.office.TwoPeople = true
	d.hold("case-12", "Smith v. Acme", func(h *schemas.Hold) { h.Contacts = []string{"ann"} })
	const release = `action="/console/privacy/holds/case-12/release"`
	d.who.Role = schemas.RoleViewer
	if page := d.holds("/privacy/holds/case-12", "Smith v. Acme"); strings.Contains(page, release) {
		t.Error("a viewer is offered the release")
	}
	for _, path := range []string{"/privacy/hold", "/privacy/holds/case-12/release", "/privacy/holds/case-12/withdraw"} {
		if page := d.send(path, url.Values{"name": {"x"}, "reason": {"x"}, "ids": {"ann"}}); !strings.Contains(page, "Access denied") {
			t.Errorf("to a viewer %s answers\n%s", path, page)
		}
	}
	if page := d.refused("/privacy/hold"); strings.Contains(page, "<form method=\"post\" action=\"/console/privacy/hold") {
		t.Error("a viewer has the form")
	}
	d.who.Role = schemas.RoleAdministrator
	d.holds("/privacy/holds/case-12", release, "Request release")
	if to := d.ends("/privacy/holds/case-12/release", nil); to != "/privacy/holds/case-12?done=hold.requested" {
		t.Errorf("the request ends at %q", to)
	}
	if page := d.holds("/privacy/holds/case-12", "Release requested", "You requested the release.</strong>", "A second person"); strings.Contains(page, release) {
		t.Error("who requested the release may release, too")
	}
	if page := d.send("/privacy/holds/case-12/release", nil); !strings.Contains(page, "a second person must release the hold") {
		t.Errorf("releasing alone answers\n%s", page)
	}
	const withdraw = "/privacy/holds/case-12/withdraw"
	d.holds("/privacy/holds/case-12", `action="/console`+withdraw)
	if to := d.ends(withdraw, nil); to != "/privacy/holds/case-12?done=hold.withdrawn" {
		t.Errorf("the withdrawal ends at %q", to)
	}
	if page := d.holds("/privacy/holds/case-12", "Active", release); strings.Contains(page, withdraw) {
		t.Error("what was withdrawn can be withdrawn")
	}
	if page := d.send(withdraw, nil); !strings.Contains(page, "obody requested the release of this hold") {
		t.Errorf("withdrawing twice answers\n%s", page)
	}
	d.ends("/privacy/holds/case-12/release", nil)
	d.who.Name, d.who.Subject = "bob", "user/bob"
	d.holds("/privacy/holds/case-12", release, "Release hold", "<strong>ada requested the release.</strong>")
	d.ends("/privacy/holds/case-12/release", nil)
	if page := d.holds("/privacy/holds/case-12", "Released", "by bob, requested by ada"); strings.Contains(page, release) {
		t.Error("a hold can be released twice")
	}
	if page := d.get("/privacy"); strings.Contains(page, "Smith v. Acme") {
		t.Error("a released hold is shown as active")
	}
}

func TestTheListOfHoldsHasPagesAndAFilter(t *testing.T) {
	d := newDesk(t, "many", 0, 0)
	for n := range 120 {
		d.hold(fmt.Sprintf("h-%03d", n), fmt.Sprintf("Case %03d", n), func(h *schemas.Hold) {
			h.Contacts = []string{"ann"}
			if n%2 == 0 {
				h.ReleasedAt, h.ReleasedBy = h.CreatedAt, "bob"
			}
		})
	}
	d.holds("/privacy/holds", "Case 119", "page 1, 120 holds", "Next page")
	d.holds("/privacy/holds?page=3", "Case 000", "Previous page")
	if page := d.holds("/privacy/holds?state=active&page=2", "Case 001", "page 2, 60 holds", `href="?page=1&amp;state=active"`); strings.Contains(page, "s-expired") {
		t.Error("the filter leaves released ones")
	}
}
