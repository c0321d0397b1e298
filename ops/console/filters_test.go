package console_test

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cdds/ops/console"
	"cdds/schemas"
)

// fetch gets a page with a cookie, and returns the answer.
func (d *desk) fetch(method, path string, form url.Values, cookie *http.Cookie) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), method, console.Prefix+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != nil {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

func TestTheCSVOfHistoryHasEveryExportOfTheFilterOnce(t *testing.T) {
	d := newDesk(t, "sheet", 1200, 3)
	for query, want := range map[string]int{"": 1200, "?sort=rows&order=asc": 1200, "?state=failed": 0, "?text=export-119&column=rows": 10} {
		w := d.fetch("GET", "/history.csv"+query, nil, nil)
		rows, err := csv.NewReader(w.Body).ReadAll()
		if w.Code != http.StatusOK || err != nil || len(rows) != want+1 {
			t.Errorf("%s answers %d with %d rows, want %d: %v", query, w.Code, len(rows)-1, want, err)
			continue
		}
		seen := map[string]bool{}
		for _, row := range rows[1:] {
			seen[row[0]] = true
		}
		if len(seen) != want {
			t.Errorf("%s has %d different exports, want %d", query, len(seen), want)
		}
		if query == "?text=export-119&column=rows" && strings.Join(rows[0], ",") != "export,state,rows" {
			t.Errorf("the columns are %v", rows[0])
		}
	}
	e := schemas.Export{TenantID: "sheet", ExportID: "hostile", State: schemas.Completed, Events: 1, Request: &schemas.ExportRequest{TenantID: "sheet", ExportID: "hostile", RequestedBy: "=1+1"}}
	d.save(e)
	if w := d.fetch("GET", "/history.csv?text=hostile", nil, nil); !strings.Contains(w.Body.String(), "'=1+1") {
		t.Errorf("a name is a formula: %s", w.Body)
	}
	if page := d.get("/history?state=completed&text="); !strings.Contains(page, `href="/console/history.csv?state=completed" download`) {
		t.Errorf("the page does not lead to its file:\n%s", page)
	}
	d.who.Role = schemas.RoleOperator
	d.refused("/history.csv")
}

func TestAFilterOfHistoryIsKeptUnderItsName(t *testing.T) {
	d := newDesk(t, "filters", 2, 1)
	save := func(form url.Values, cookie *http.Cookie) (*http.Cookie, string) {
		t.Helper()
		w := d.fetch("POST", "/filters", form, cookie)
		kept := w.Result().Cookies()
		if w.Code != http.StatusSeeOther || len(kept) != 1 {
			t.Fatalf("saving %v answers %d: %s", form, w.Code, w.Body)
		}
		return kept[0], w.Header().Get("Location")
	}
	kept, to := save(url.Values{"name": {"Failed <runs>"}, "query": {"?state=failed"}}, nil)
	if to != "/console/history?state=failed" {
		t.Errorf("it ends at %q", to)
	}
	kept, _ = save(url.Values{"name": {"Failed <runs>"}, "query": {"?sort=rows&state=failed"}}, kept)
	page := d.fetch("GET", "/history?state=failed&sort=rows", nil, kept).Body.String()
	if strings.Count(page, `href="/console/history?sort=rows&amp;state=failed" aria-current="page">Failed &lt;runs&gt;`) != 1 {
		t.Errorf("the filter is not shown once:\n%s", page)
	}
	kept, _ = save(url.Values{"name": {"Failed <runs>"}, "query": {"?"}, "remove": {"1"}}, kept)
	if page := d.fetch("GET", "/history", nil, kept).Body.String(); strings.Contains(page, "&lt;runs&gt;") {
		t.Error("a filter that was removed is shown")
	}
	for range 2 { // the eleventh takes the place of the first
		for _, name := range strings.Fields("a b c d e f g h i j k") {
			kept, _ = save(url.Values{"name": {strings.Repeat(name, 40)}, "query": {"?text=" + strings.Repeat("x", 190)}}, kept)
		}
	}
	if page := d.fetch("GET", "/history", nil, kept).Body.String(); len(kept.String()) > 4096 || strings.Count(page, "/filters\"") != 1 || strings.Contains(page, strings.Repeat("a", 40)) {
		t.Errorf("the cookie has %d bytes, or more than ten filters are kept", len(kept.String()))
	}
	for name, form := range map[string]url.Values{"no name": {"query": {"?state=failed"}}, "a long one": {"name": {"x"}, "query": {"?text=" + strings.Repeat("x", 300)}}} {
		if w := d.fetch("POST", "/filters", form, nil); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s answers %d", name, w.Code)
		}
	}
	for _, value := range []string{"!", "e30", "W3sibiI6IngiLCJxIjoiLy9ldmlsIn1d"} {
		if w := d.fetch("GET", "/history", nil, &http.Cookie{Name: kept.Name, Value: value}); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("with the cookie %q the page answers %d", value, w.Code)
		}
	}
}
