package console_test

import (
	"bytes"
	"mime/multipart"
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

// upload posts a form with a file and returns the page that comes back and where it leads to.
func (d *desk) upload(path string, form url.Values, file string) (page, to string) {
	d.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, values := range form {
		for _, value := range values {
			check(d.t, w.WriteField(name, value))
		}
	}
	part, err := w.CreateFormFile("file", "ids.csv")
	check(d.t, err)
	_, err = part.Write([]byte(file))
	check(d.t, err)
	check(d.t, w.Close())
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, console.Prefix+path, &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	answer := httptest.NewRecorder()
	d.handler.ServeHTTP(answer, r)
	return answer.Body.String(), strings.TrimPrefix(answer.Header().Get("Location"), console.Prefix)
}

func TestAnAccessRequestIsOfThePeopleWrittenAndUploadedAndSaysWhy(t *testing.T) {
	d := newDesk(t, "people", 0, 0)
	d.who.Role = schemas.RolePrivacy
	d.store("ann", "ben", "cem")
	d.certificate("Privacy desk")
	form := d.fields(d.get("/privacy/access"))
	if page := d.send("/privacy/access", form); !strings.Contains(page, "give the id of at least one contact") || len(d.asked.exports) != 0 {
		t.Errorf("a request without contacts is accepted: %d exports, and the page is\n%s", len(d.asked.exports), page)
	}
	form.Set("ids", "ann")
	form.Set("then", "estimate")
	page, _ := d.upload("/privacy/access", form, "\ufeffben\r\nann\r\n\r\n")
	if !strings.Contains(page, "give the reason") && !strings.Contains(page, "say why you need") || !strings.Contains(page, ">ann\nben</textarea>") {
		t.Errorf("no reason is asked for, or the ids of the file are lost:\n%s", page)
	}
	form.Set("reason", "case 4711")
	if page, _ := d.upload("/privacy/access", form, "ben\n"); !strings.Contains(page, "2 rows") {
		t.Errorf("the estimate is not of the two:\n%s", page)
	}
	form.Set("ids", "Ann")
	if page := d.send("/privacy/access", form); !strings.Contains(page, "did you mean &#34;ann&#34;?") {
		t.Errorf("a misspelt id is not named:\n%s", page)
	}
	form.Set("ids", "ann")
	form.Set("then", "request")
	_, to := d.upload("/privacy/access", form, "ben\n")
	if len(d.asked.exports) != 1 || !strings.HasPrefix(to, "/history/form-") {
		t.Fatalf("%d exports were requested, and it ends at %q", len(d.asked.exports), to)
	}
	if r := d.asked.exports[0]; !slices.Equal(r.Contacts, []string{"ann", "ben"}) || r.Reason != "case 4711" || r.From.Year() != 1970 || r.To.Year() != 2199 {
		t.Errorf("requested was %+v", r)
	}
	if page := d.get(to); !strings.Contains(page, "Access request, ") || !strings.Contains(page, "of 2 contacts") || !strings.Contains(page, "case 4711") {
		t.Errorf("the export's page is\n%s", page)
	}
	kept := schemas.Export{TenantID: "people", ExportID: "e1", State: schemas.Completed, Events: 1, Request: d.asked.exports[0]}
	other := schemas.Export{TenantID: "people", ExportID: "e2", State: schemas.Completed, Events: 1, Request: &schemas.ExportRequest{TenantID: "people", ExportID: "e2", Entity: schemas.EntityContact}}
	d.save(kept, other)
	if page := d.get("/privacy"); !strings.Contains(page, `href="/console/history/e1"`) || strings.Contains(page, `href="/console/history/e2"`) || !strings.Contains(page, "case 4711") {
		t.Errorf("the privacy requests are\n%s", page)
	}
}

func TestAnErasureShowsWhatItRemovesAndThenRemovesItOnce(t *testing.T) {
	d := newDesk(t, "forget", 0, 0)
	d.who.Role = schemas.RolePrivacy
	d.store("ann", "ben")
	always := schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	d.save(schemas.Export{
		TenantID: "forget", ExportID: "autumn", State: schemas.Completed, Events: 1, Snapshot: schemas.Snapshot{4}, Completion: &schemas.Completion{ManifestKey: "m"},
		Request: &schemas.ExportRequest{TenantID: "forget", ExportID: "autumn", Entity: schemas.EntityInteraction, From: always, To: schemas.TimeOf(always.AddDate(1, 0, 0))},
	})
	if page := d.get("/privacy"); !strings.Contains(page, "Nothing was erased yet") || !strings.Contains(page, `href="/console/privacy/erase"`) {
		t.Errorf("the page of a tenant without erasures is\n%s", page)
	}
	form := d.fields(d.get("/privacy/erase"))
	form.Set("then", "check")
	if page := d.send("/privacy/erase", form); !strings.Contains(page, "give the id") {
		t.Errorf("no id is taken:\n%s", page)
	}
	form.Set("id", "ANN")
	if page := d.send("/privacy/erase", form); !strings.Contains(page, "Nothing is stored of contact ANN") || !strings.Contains(page, "<code>ann</code>") || strings.Contains(page, `value="erase"`) {
		t.Errorf("of an id that nothing is stored of the page is\n%s", page)
	}
	form.Set("id", "ann")
	page := d.send("/privacy/erase", form)
	if !strings.Contains(page, "Erase contact ann?") || !strings.Contains(page, "1 version") || !strings.Contains(page, "1 export</strong> keeps files") || !strings.Contains(page, `href="/console/history/autumn"`) {
		t.Errorf("the confirmation is\n%s", page)
	}
	if len(d.asked.erasures) != 0 {
		t.Fatalf("erased before it was confirmed: %+v", d.asked.erasures)
	}
	confirmed := d.fields(page)
	confirmed.Set("then", "erase")
	first, second := d.ends("/privacy/erase", confirmed), d.ends("/privacy/erase", confirmed)
	if len(d.asked.erasures) != 1 || first != second || d.asked.erasures[0].ContactID != "ann" || d.asked.erasures[0].DeleteArtifacts || d.asked.erasures[0].RequestedBy != "ada" {
		t.Fatalf("confirmed twice, requested was %+v, and it ends at %q and %q", d.asked.erasures, first, second)
	}
	if page := d.get(first); !strings.Contains(page, "Erasure of contact ann") || !strings.Contains(page, "waiting for a worker") || !strings.Contains(page, "The erasure is requested.") {
		t.Errorf("the erasure's page is\n%s", page)
	}
	d.who.Role = schemas.RoleViewer
	if page := d.send("/privacy/erase", confirmed); !strings.Contains(page, "Access denied") {
		t.Errorf("a viewer may erase:\n%s", page)
	}
	if page := d.get("/privacy"); strings.Contains(page, "/privacy/erase\"") || strings.Contains(page, "/privacy/access\"") {
		t.Error("a viewer is led to forms that are not for viewers")
	}
}

func TestAnErasureThatFoundNothingLooksOtherThanOneThatIsDone(t *testing.T) {
	d := newDesk(t, "ends", 0, 0)
	at := schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	request := schemas.ErasureRequest{TenantID: "ends", ContactID: "c_42", RequestedAt: at, RequestedBy: "ada"}
	for id, e := range map[string]schemas.Erasure{
		"found": {State: schemas.ErasureDone, Rows: 14, Objects: 3, DoneAt: at, Exports: []schemas.AffectedExport{{
			ExportID: "autumn", State: schemas.Completed, Rows: 9, Recipients: []schemas.CertificateRef{{Subject: "CN=Archive"}}, Downloads: []schemas.Download{{By: "bob"}},
		}}},
		"not-found": {State: schemas.ErasureNothingFound, Reason: "nothing is stored of contact c_42 for tenant ends", DoneAt: at},
	} {
		e.Request, e.AcceptedAt = request, at
		e.Request.ErasureID = id
		check(t, d.ledger.SaveErasure(t.Context(), e))
	}
	for path, wanted := range map[string][]string{
		"/privacy":                    {`s-done">Erased<`, `s-nothing_found">Nothing found<`, "14 versions removed", "Nothing was removed.", "by ada"},
		"/privacy?state=done":         {"/privacy/erasures/found"},
		"/privacy/erasures/found":     {`s-done">Erased<`, "14 versions and 3 objects of attachments", `href="/console/history/autumn"`, "CN=Archive", "bob"},
		"/privacy/erasures/not-found": {`s-nothing_found">Nothing found<`, "<strong>Nothing was removed.</strong> Nothing is stored of contact c_42 for tenant ends."},
	} {
		page := d.get(path)
		for _, want := range wanted {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q:\n%s", path, want, page)
			}
		}
		if path == "/privacy?state=done" && strings.Contains(page, "/privacy/erasures/not-found") {
			t.Error("the filter leaves one that found nothing")
		}
	}
}
