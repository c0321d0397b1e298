package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/schemas"
)

func TestAJobThatIsNoMoreIsNamedAndLeadsNowhere(t *testing.T) {
	d := newDesk(t, "gone", 1, 0)
	if page := d.get("/history"); !strings.Contains(page, "job-000") || strings.Contains(page, `href="/console/jobs/job-000"`) {
		t.Error("history links to a job that was deleted, or does not name it")
	}
	if page := d.get("/history/export-0000"); !strings.Contains(page, "<code>job-000</code>") {
		t.Error("an export does not say of what job it was")
	}
}

func TestACertificateThatEndedAnHourAgoIsSaidToHaveEnded(t *testing.T) {
	d := newDesk(t, "ended", 0, 0)
	d.certificateFor("late", 31*24*time.Hour+11*time.Hour)
	if page := d.get("/certificates"); !strings.Contains(page, `s-failed">ended<`) || strings.Contains(page, "0 days left") {
		t.Error("the page says that it has days left")
	}
}

func TestWhatReplacesACertificateIsUsedByTheJobsThatNameThat(t *testing.T) {
	d := newDesk(t, "rotated", 0, 0)
	a, b := d.certificate("a"), d.certificate("b")
	now := schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	a.ReplacedBy = b.Fingerprint
	d.define(a)
	d.define(schemas.Job{
		TenantID: "rotated", JobID: "nightly", Title: "Nightly", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{a.Fingerprint},
	}.Revised(nil, "ada", now))
	for _, c := range []*schemas.Certificate{a, b} {
		if page := d.get("/certificates/" + c.Fingerprint); !strings.Contains(page, "Nightly") {
			t.Errorf("%s: no job is named", c.Subject)
		}
		if page := d.send("/certificates/"+c.Fingerprint+"/remove", nil); !strings.Contains(page, "nightly seals for it") {
			t.Errorf("%s can be removed: %s", c.Subject, page)
		}
	}
}

func TestADayThatIsTheEndOfAFilterIsPartOfIt(t *testing.T) {
	d := newDesk(t, "days", 2, 0) // of 1 November at noon
	for query, want := range map[string]bool{"from=2026-11-01&to=2026-11-01": true, "to=2026-10-31": false, "to=2026-11-01T11:00": false} {
		if got := strings.Contains(d.get("/history?"+query), "export-0000"); got != want {
			t.Errorf("%s: %t", query, got)
		}
	}
}

func TestWhoSeesAllTenantsChoosesOneOrNone(t *testing.T) {
	d := newDesk(t, "chosen", 1, 0)
	d.who.Tenant = schemas.AllTenants
	d.tenant = "chosen"
	if page := d.get("/history"); !strings.Contains(page, "export-0000") || !strings.Contains(page, `<span class="tenant">chosen</span>`) {
		t.Error("a tenant that was chosen is not shown")
	}
	if page := d.get("/access"); strings.Contains(page, "<option>operator") {
		t.Error("an operator of one tenant is offered")
	}
	d.tenant = schemas.AllTenants
	if page := d.get("/access"); !strings.Contains(page, "<option>operator") {
		t.Error("an operator is not offered to who manages all tenants")
	}
	if page := d.get("/jobs"); !strings.Contains(page, "Choose a tenant") || !strings.Contains(page, `name="return" value="/console/jobs"`) {
		t.Error("a page of one tenant does not ask which, or forgets that it was asked for")
	}
	if to := d.fetch("POST", "/tenant", url.Values{"tenant": {"chosen"}, "return": {"/console/jobs"}}, nil).Header().Get("Location"); to != "/console/jobs" {
		t.Errorf("a tenant that a page asked for leads to %s", to)
	}
	if to := d.fetch("POST", "/tenant", url.Values{"tenant": {"chosen"}, "return": {"//elsewhere.example/"}}, nil).Header().Get("Location"); to != "/console/" {
		t.Errorf("a way back that is another site leads to %s", to)
	}
	d.who.Tenant = "set-up" // and has no history
	d.certificate("first")
	d.who.Tenant = schemas.AllTenants
	if page := d.get("/tenants?q=Set-"); !strings.Contains(page, `value="set-up"`) || strings.Contains(page, `value="chosen"`) || strings.Contains(page, `value="*"`) {
		t.Errorf("a tenant that was set up is not found alone:\n%s", page)
	}
	if page := d.get("/tenants?q=to-come"); !strings.Contains(page, "Set up to-come") {
		t.Errorf("a tenant that has nothing yet cannot be set up:\n%s", page)
	}
	// One whose id is part of another's, or of more others' than a page has.
	if page := d.get("/tenants?q=set"); !strings.Contains(page, `value="set-up"`) || !strings.Contains(page, "Set up set<") {
		t.Errorf("a new tenant whose id is part of another's is not offered:\n%s", page)
	}
	if page := d.get("/tenants?q=set-up"); strings.Contains(page, "Set up set-up") {
		t.Error("a tenant that is there is set up once more")
	}
	if page := d.get("/tenants?q=To+Come"); !strings.Contains(page, "No tenant id contains this text.") || strings.Contains(page, "Set up") {
		t.Errorf("what is not a tenant id can be set up:\n%s", page)
	}
	d.tenant = "to-come"
	if page := d.get("/jobs"); !strings.Contains(page, `<span class="tenant">to-come</span>`) {
		t.Error("a tenant that has nothing yet is not shown")
	}
	d.who.Tenant = "chosen"
	if page := d.get("/jobs"); strings.Contains(page, `id="picker"`) {
		t.Error("who sees one tenant is offered others")
	}
	if page := d.get("/tenants"); strings.Contains(page, `value="set-up"`) {
		t.Error("who sees one tenant finds others")
	}
}

func TestNoPageHasMoreTenantsThanAScreenful(t *testing.T) {
	d := newDesk(t, "many-000", 0, 0)
	var all []schemas.Export
	for n := range 120 {
		all = append(all, schemas.Export{TenantID: fmt.Sprintf("many-%03d", n), ExportID: "e", State: schemas.Completed, Events: 1})
	}
	d.save(all...)
	d.who.Tenant, d.tenant = schemas.AllTenants, schemas.AllTenants
	if page := d.get("/access"); strings.Contains(page, "many-") {
		t.Error("a page has tenants that it is not about")
	}
	// Those that begin with what a shell has are found behind all that only contain it.
	for _, id := range []string{"z-119", "119", "a-y-119", "b-y-119", "c-y-119", "y-119"} {
		d.save(schemas.Export{TenantID: id, ExportID: "e", State: schemas.Completed, Events: 1})
	}
	for _, want := range []struct {
		prefix string
		found  []string
		more   bool
	}{{"119", []string{"119"}, false}, {"many-11", []string{"many-110", "many-111"}, true}, {"many-119", []string{"many-119"}, false}, {"y-119", []string{"y-119"}, false}, {"z", []string{"z-119"}, false}, {"zz", nil, false}} {
		found, more, err := d.office.Tenants(t.Context(), d.who, admin.TenantPage{Prefix: want.prefix, Limit: 2})
		if err != nil || !slices.Equal(found, want.found) || more != want.more {
			t.Errorf("tenants that begin with %s are %v, %t (%v)", want.prefix, found, more, err)
		}
	}
	choices := regexp.MustCompile(`name="tenant" value="(many-\d+)"`)
	var found []string
	path := "/tenants?q=MANY"
	for path != "" {
		page := html.UnescapeString(d.get(path))
		some := choices.FindAllStringSubmatch(page, -1)
		if len(some) == 0 || len(some) > 50 {
			t.Fatalf("%s has %d tenants", path, len(some))
		}
		for _, m := range some {
			found = append(found, m[1])
		}
		next := regexp.MustCompile(`href="/console(/tenants\?[^"]*after_id=[^"]*)">Next page`).FindStringSubmatch(page)
		if path = ""; next != nil {
			path = next[1]
		}
	}
	if len(found) != 120 || found[0] != "many-000" || found[119] != "many-119" || !slices.IsSorted(found) {
		t.Errorf("the pages have %d tenants: %v", len(found), found)
	}
}

func TestWhoIsRefusedAtTheProviderIsBackAtTheSignInPageWithTheReason(t *testing.T) {
	d := newDesk(t, "provider", 0, 0)
	d.who = auth.Principal{}
	refused := func(at string, status int, reason string) {
		t.Helper()
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, at, nil))
		if page := w.Body.String(); w.Code != status || !strings.Contains(page, reason) || !strings.Contains(page, `name="password"`) {
			t.Errorf("%s answers %d: %s", at, w.Code, page)
		}
	}
	refused(auth.StartPath, http.StatusNotFound, "No organisation to sign in with is set up here.")
	d.auth.OIDC = &auth.OIDC{Issuer: "http://127.0.0.1:1", ClientID: "cdds", RedirectURL: "http://127.0.0.1" + auth.CallbackPath}
	refused(auth.StartPath+"?return=/console/jobs", http.StatusServiceUnavailable, "cannot be reached now")
	refused(auth.CallbackPath+"?error=access_denied&state=x", http.StatusForbidden, "was not finished. Try again.")
}

func TestAChainCanBeFollowedAndStartedOverFromThePageOfItsJob(t *testing.T) {
	d := newDesk(t, "chained", 0, 1)
	if page := d.get("/jobs/job-000"); strings.Contains(page, "cdds sync") {
		t.Error("a job whose runs hold everything is said to have a chain")
	}
	j := schemas.Job{
		TenantID: "chained", JobID: "nightly", Title: "Nightly", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily, At: "02:00", TimeZone: "Europe/Berlin"}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeSinceLastRun},
		Recipients: []string{d.certificate("a").Fingerprint},
	}
	d.define(j.Revised(nil, "ada", schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))))
	page := d.get("/jobs/nightly")
	if !strings.Contains(page, "cdds sync --server http://127.0.0.1 --tenant chained --job nightly") || !strings.Contains(page, "Mon 2 Nov 2026 02:00 CET") {
		t.Errorf("the page has no command to keep a copy, or not the job's own time:\n%s", page)
	}
	d.send("/jobs/nightly/restart-chain", nil)
	if len(d.saved) != 1 || d.saved[0].JobID != "nightly" || d.saved[0].ChainFrom.IsZero() {
		t.Errorf("the chain does not start over: %+v", d.saved)
	}
}

func TestAnAdministratorChangesARoleAndDisablesAUserOnThePageOfAccess(t *testing.T) {
	d := newDesk(t, "staff", 0, 0)
	d.send("/access/users", url.Values{"name": {"bob"}, "role": {"viewer"}})
	page := d.get("/access")
	if !strings.Contains(page, `action="/console/access/users/bob/role"`) || !strings.Contains(page, `action="/console/access/users/bob/disable"`) {
		t.Fatalf("a role cannot be changed, or a user not be disabled:\n%s", page)
	}
	d.send("/access/users/bob/role", url.Values{"role": {"administrator"}})
	d.send("/access/users/bob/disable", nil)
	if page := d.get("/access"); !strings.Contains(page, "<option selected>administrator") || !strings.Contains(page, "disabled</span>") || !strings.Contains(page, "/bob/enable") {
		t.Errorf("the change does not show:\n%s", page)
	}
	if page := d.send("/access/users/bob/role", url.Values{"role": {"king"}}); !strings.Contains(page, "role") || strings.Contains(d.get("/access"), "king") {
		t.Errorf("a role that does not exist is taken: %s", page)
	}
}
