package console_test

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

func TestAuditRecordsReadAsSentences(t *testing.T) {
	d := newDesk(t, "sentences", 0, 0)
	if page := d.get("/audit"); !strings.Contains(page, "Nothing was recorded yet") {
		t.Errorf("without a filter an empty page speaks of one:\n%s", page)
	}
	if page := d.get("/audit?outcome=failed"); !strings.Contains(page, "No record fits the filter") {
		t.Errorf("a filter that fits nothing does not say so:\n%s", page)
	}
	b, at := schemas.Batch[*schemas.AuditRecord]{}, schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	for id, r := range map[string]schemas.AuditRecord{
		"1": {Actor: "ada", Action: "job.suspend", Subject: "nightly", Outcome: schemas.OutcomeDone},
		"2": {Actor: "bob", Action: "job.suspend", Subject: "nightly", Outcome: schemas.OutcomeRefused, Detail: "not allowed"},
		"3": {Actor: "worker-1", Action: "export.failed", Subject: "autumn", Outcome: schemas.OutcomeFailed, From: "host-7"},
		"5": {Actor: "worker-1", Action: "export.stop", Subject: "winter", Outcome: schemas.OutcomeDone},
		"4": {Action: "topic.moved", Subject: "cdds.interactions", Outcome: schemas.OutcomeDone},
	} {
		r.AuditID, r.TenantID, r.Time = "sentences/"+id, "sentences", at
		b.Records = append(b.Records, schemas.Record[*schemas.AuditRecord]{Offset: int64(len(b.Records)), Event: &r})
	}
	check(t, d.ledger.InsertAudit(t.Context(), b))
	page := d.get("/audit")
	for _, want := range []string{
		"<b>ada</b> suspended job <b>nightly</b>", "<b>bob</b> tried to suspend job <b>nightly</b>", "<small>not allowed</small>",
		"<summary>Export <b>autumn</b> failed</summary>", "Export <b>winter</b> was cancelled", "<dt>From</dt><dd>host-7</dd>", "<b>Somebody</b> recorded topic.moved for <b>cdds.interactions</b>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestEveryActionReadsAsASentence(t *testing.T) {
	d := newDesk(t, "words", 0, 0)
	b, at := schemas.Batch[*schemas.AuditRecord]{}, schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	for n, a := range schemas.AuditActions() {
		b.Records = append(b.Records, schemas.Record[*schemas.AuditRecord]{Offset: int64(n), Event: &schemas.AuditRecord{
			AuditID: "words/" + a.Name, TenantID: "words", Time: at, Actor: "ada", Action: a.Name, Subject: "x", Outcome: schemas.OutcomeDone,
		}})
	}
	check(t, d.ledger.InsertAudit(t.Context(), b))
	page := d.get("/audit")
	next := regexp.MustCompile(`href="([^"]*)">Next page`).FindStringSubmatch(page)
	if next == nil {
		t.Fatal("there is no next page")
	}
	page += d.get("/audit" + html.UnescapeString(next[1]))
	for _, a := range schemas.AuditActions() {
		if strings.Contains(page, "recorded "+a.Name) {
			t.Errorf("%s has no words of its own", a.Name)
		}
	}
	if n := strings.Count(page, "<summary>"); n < len(schemas.AuditActions()) {
		t.Errorf("the page has %d records", n)
	}
}

func TestTheAuditTrailIsFetchedAsAFileWithTheFilterOfThePage(t *testing.T) {
	d := newDesk(t, "files", 0, 0)
	page := d.get("/audit?actor=ada&outcome=refused&from=2026-11-01&to=2026-11-01")
	for _, format := range []string{"csv", "jsonl"} {
		want := `href="/api/v1/audit/export?actor=ada&amp;format=` + format + `&amp;from=2026-11-01T00%3A00%3A00.000Z&amp;outcome=refused&amp;tenant=files&amp;to=2026-11-02T00%3A00%3A00.000Z" download`
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	d.who.Tenant, d.tenant = schemas.AllTenants, schemas.AllTenants
	if page := d.get("/audit"); !strings.Contains(page, `href="/api/v1/audit/export?format=csv" download`) {
		t.Error("of no one tenant the page names a tenant")
	}
}
