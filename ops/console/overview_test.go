package console_test

import (
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

func TestTheOverviewSaysHowMuchHistoryThereIs(t *testing.T) {
	d := newDesk(t, "history", 0, 0)
	if page := d.get("/"); !strings.Contains(page, "No interaction is stored yet") {
		t.Errorf("without history the overview is\n%s", page)
	}
	d = newDesk(t, "history", 0, 0) // counts are kept for a while
	d.store("ann", "ben", "cem")
	page := d.get("/")
	for _, want := range []string{"3 versions of interactions are stored, from 1 Nov 2026 to 1 Nov 2026.", "Running now"} {
		if !strings.Contains(page, want) {
			t.Errorf("the overview lacks %q:\n%s", want, page)
		}
	}
	d.who.Role, d.who.Tenant, d.tenant = schemas.RoleOperator, schemas.AllTenants, "history"
	page = d.get("/")
	for _, unknown := range []string{"Running now", "Next runs", `href="/console/history`} { // an operator is not told, and so the page does not say that there are none
		if strings.Contains(page, unknown) {
			t.Errorf("to an operator the overview shows %q:\n%s", unknown, page)
		}
	}
	if strings.Contains(page, ">More<") || strings.Contains(page, "</svg>More</summary>") {
		t.Errorf("with two pages there is a menu of more:\n%s", page)
	}
}

func TestOnTheWayToAPasswordThereIsNoOtherPage(t *testing.T) {
	d := newDesk(t, "temporary", 0, 0)
	if page := d.get("/password"); !strings.Contains(page, `aria-label="Main"`) {
		t.Errorf("the page of the password lacks the others:\n%s", page)
	}
	d.who.MustChangePassword = true
	if page := d.get("/password"); strings.Contains(page, `aria-label="Main"`) || strings.Contains(page, `class="dock"`) {
		t.Errorf("pages that lead back are offered:\n%s", page)
	}
}

func TestAJobOfBerlinRunsNextInBerlin(t *testing.T) {
	d := newDesk(t, "zoned", 0, 0)
	d.define(schemas.Job{
		TenantID: "zoned", JobID: "berlin", Title: "Of Berlin", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily, At: "02:30", TimeZone: "Europe/Berlin"}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{strings.Repeat("0", 64)},
	}.Revised(nil, "ada", schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC))))
	if page := d.get("/jobs"); !strings.Contains(page, ">Tomorrow 02:30 CET</time>") {
		t.Errorf("the next run is not shown as the job has it:\n%s", page)
	}
}

func TestThePageOfAnExportSaysWhatWasDoneToIt(t *testing.T) {
	d := newDesk(t, "doings", 1, 0)
	b := schemas.Batch[*schemas.AuditRecord]{}
	for n, action := range []string{"export.create", "export.download", "export.complete"} {
		b.Records = append(b.Records, schemas.Record[*schemas.AuditRecord]{Offset: int64(n), Event: &schemas.AuditRecord{
			AuditID: "doings/" + action, TenantID: "doings", Time: schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, n, 0, time.UTC)), Actor: "ada", Action: action, Subject: "export-0000", Outcome: schemas.OutcomeDone,
		}})
	}
	check(t, d.ledger.InsertAudit(t.Context(), b))
	page := d.get("/history/export-0000")
	for _, want := range []string{"<b>ada</b> requested this export", "<b>ada</b> downloaded files of this export", "Export completed"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestAPageOfOneTenantDoesNotOfferAllOfThem(t *testing.T) {
	d := newDesk(t, "single", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, schemas.AllTenants
	if page := d.get("/tenants"); !strings.Contains(page, `value="*">All tenants`) {
		t.Errorf("all tenants cannot be chosen:\n%s", page)
	}
	if page := d.get("/jobs"); !strings.Contains(page, "belongs to one tenant") || strings.Contains(page, `value="*">All tenants`) {
		t.Errorf("for a page of one tenant all can be chosen, which leads back:\n%s", page)
	}
}
