package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/console"
	"cdds/schemas"
)

// store stores interactions of the desk's tenant, one an hour before noon of 1 November, each
// with its contact.
func (d *desk) store(contacts ...string) {
	d.t.Helper()
	b := schemas.Batch[*schemas.Interaction]{}
	for n, contact := range contacts {
		b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Offset: int64(n), Event: &schemas.Interaction{
			InteractionID: "of-" + contact, TenantID: d.who.Tenant, MediaType: "chat", ContactID: contact,
			StartedAt: schemas.TimeOf(time.Date(2026, 11, 1, 11-n, 0, 0, 0, time.UTC)),
		}})
	}
	check(d.t, d.warehouse.InsertInteractions(d.t.Context(), b))
}

// ends posts a form and returns where the answer leads to; empty if to the form again.
func (d *desk) ends(path string, form url.Values) string {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, console.Prefix+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return strings.TrimPrefix(w.Header().Get("Location"), console.Prefix)
}

func TestOneExportIsEstimatedAndThenRequestedOnce(t *testing.T) {
	d := newDesk(t, "one-off", 0, 0)
	d.store("ann", "ben", "cem")
	certificate := d.certificate("Archive")
	if page := d.get("/history"); !strings.Contains(page, `href="/console/exports/new"`) {
		t.Errorf("history does not lead to the form:\n%s", page)
	}

	form := d.fields(d.get("/exports/new"))
	if !slices.Equal(form["recipients"], []string{certificate.Fingerprint}) {
		t.Errorf("the only certificate is not chosen: %v", form["recipients"])
	}
	form.Set("then", "estimate")
	if page := d.send("/exports", form); !strings.Contains(page, "3 rows") || !strings.Contains(page, "Estimate again") || len(d.asked.exports) != 0 {
		t.Errorf("the estimate lacks the rows, or %d exports were requested:\n%s", len(d.asked.exports), page)
	}
	empty := d.fields(d.get("/exports/new"))
	empty["media_types"] = []string{"email"}
	empty.Set("then", "estimate")
	if page := d.send("/exports", empty); !strings.Contains(page, "Nothing matches") {
		t.Errorf("an empty export is not called that:\n%s", page)
	}

	form.Set("then", "request")
	first, second := d.ends("/exports", form), d.ends("/exports", form)
	if len(d.asked.exports) != 1 || first != second || !strings.HasPrefix(first, "/history/form-") {
		t.Fatalf("sent twice, %d exports were requested, and it ends at %q and %q", len(d.asked.exports), first, second)
	}
	r := d.asked.exports[0]
	if r.JobID != "" || r.RequestedBy != "ada" || r.Recipients[0].Fingerprint != certificate.Fingerprint || r.To.Sub(r.From.Time) < 7*24*time.Hour {
		t.Errorf("requested was %+v", r)
	}
	if page := d.get(first); !strings.Contains(page, "One-off export, ") || !strings.Contains(page, "The export is requested.") {
		t.Errorf("the export's page is\n%s", page)
	}
	if d.ends("/exports", d.fields(d.get("/exports/new"))); len(d.asked.exports) != 2 {
		t.Errorf("a new form with the same content is not a new export: %d were requested", len(d.asked.exports))
	}
}

func TestAnExportIsDuplicatedByAFormThatHoldsWhatItHeld(t *testing.T) {
	d := newDesk(t, "again", 0, 0)
	a, b := d.certificate("a"), d.certificate("b")
	at := func(day int) schemas.Time { return schemas.TimeOf(time.Date(2026, 10, day, 0, 0, 0, 0, time.UTC)) }
	request := &schemas.ExportRequest{
		TenantID: "again", ExportID: "autumn", Entity: schemas.EntityInteraction, From: at(1), To: at(31), MediaTypes: []string{"chat"},
		Match: schemas.Match{Queues: []string{"Sales, EU"}, Attributes: map[string]string{"site": "ulm"}}, Cipher: schemas.CipherGCM, RetentionDays: 7,
	}
	d.save(schemas.Export{TenantID: "again", ExportID: "autumn", State: schemas.Completed, Events: 1, Request: request, Recipients: []schemas.CertificateRef{{Fingerprint: b.Fingerprint}}})
	if page := d.get("/history/autumn"); !strings.Contains(page, `href="/console/exports/new?like=autumn"`) {
		t.Errorf("the export's page does not lead to the form:\n%s", page)
	}
	form := d.fields(d.get("/exports/new?like=autumn"))
	for name, want := range map[string]string{
		"entity": "interaction", "timeframe": "fixed", "from": "2026-10-01T00:00", "to": "2026-10-31T00:00", "media_types": "chat", "queues": `"Sales, EU"`,
		"attributes": "site=ulm\r\n", "cipher": "aes-256-gcm", "retention_days": "7", "recipients": b.Fingerprint,
	} {
		if got := strings.Join(form[name], " + "); got != want {
			t.Errorf("%s: the form has %q, want %q (a is %s)", name, got, want, a.Fingerprint[:8])
		}
	}
}

func TestAFormOfAnExportSaysWhatIsWrongAndKeepsWhatWasWritten(t *testing.T) {
	d := newDesk(t, "wrong", 0, 0)
	form := d.fields(d.get("/exports/new"))
	form.Set("timeframe", "fixed")
	form.Set("from", "2026-10-31T00:00")
	form.Set("to", "2026-10-01T00:00")
	form.Set("attributes", "site=ulm")
	form.Set("then", "request")
	page := d.send("/exports", form)
	for _, want := range []string{"must be before to", "give at least one certificate", "site=ulm", "Register one", `value="2026-10-31T00:00"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if len(d.asked.exports) != 0 {
		t.Errorf("requested was %+v", d.asked.exports)
	}
}

func TestTheRangeOfANewExportHoldsSomething(t *testing.T) {
	newest := func(days int) schemas.Timeframe {
		d := newDesk(t, fmt.Sprintf("range-%d", days), 0, 0)
		b := schemas.Batch[*schemas.Interaction]{}
		for n, back := range []int{days, days + 61} {
			b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Offset: int64(n), Event: &schemas.Interaction{
				InteractionID: "i", TenantID: d.who.Tenant, MediaType: "chat", StartedAt: schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC).AddDate(0, 0, -back)),
			}})
		}
		check(t, d.warehouse.InsertInteractions(t.Context(), b))
		d.certificate("Archive")
		form := d.fields(d.get("/exports/new"))
		form.Set("then", "estimate")
		if page := d.send("/exports", form); strings.Contains(page, "Nothing matches") || !strings.Contains(page, " row") {
			t.Errorf("with the last interaction %d days ago, the form as it opens holds nothing:\n%s", days, page)
		}
		form.Set("then", "request")
		d.ends("/exports", form)
		if len(d.asked.exports) != 1 {
			t.Fatalf("requested was %+v", d.asked.exports)
		}
		r := d.asked.exports[0]
		return schemas.Timeframe{Kind: form.Get("timeframe"), From: r.From, To: r.To}
	}
	if f := newest(2); f.Kind != schemas.TimeframeLastDays {
		t.Errorf("with an interaction two days ago, the range is %+v", f)
	}
	for _, days := range []int{8, 200, -3} { // as the sample is; a clock that is wrong
		if f := newest(days); f.Kind != schemas.TimeframeFixed || f.To.Sub(f.From.Time) != 62*24*time.Hour {
			t.Errorf("with the last interaction %d days ago, the range is %+v", days, f)
		}
	}
	if form := newDesk(t, "nothing", 0, 0); form.fields(form.get("/exports/new")).Get("timeframe") != schemas.TimeframeLastDays {
		t.Error("without any interaction the form proposes no range")
	}
}
