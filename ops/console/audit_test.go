package console_test

import (
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
		"4": {Action: "topic.moved", Subject: "cdds.interactions", Outcome: schemas.OutcomeDone},
	} {
		r.AuditID, r.TenantID, r.Time = "sentences/"+id, "sentences", at
		b.Records = append(b.Records, schemas.Record[*schemas.AuditRecord]{Offset: int64(len(b.Records)), Event: &r})
	}
	check(t, d.ledger.InsertAudit(t.Context(), b))
	page := d.get("/audit")
	for _, want := range []string{
		"<b>ada</b> suspended job <b>nightly</b>", "<b>bob</b> tried to suspend job <b>nightly</b>", "<small>not allowed</small>",
		"<summary>Export <b>autumn</b> failed</summary>", "<dt>From</dt><dd>host-7</dd>", "<b>Somebody</b> recorded topic.moved for <b>cdds.interactions</b>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
