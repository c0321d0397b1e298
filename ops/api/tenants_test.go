package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cdds/ops/api"
	"cdds/schemas"
)

func TestEveryTenantIsListedAndFoundThoughItHasNothingButHistory(t *testing.T) {
	const tenants = 1_100
	d := newDesk(t, schemas.AllTenants, 0, 0)
	var all []schemas.Export
	for n := range tenants {
		all = append(all, schemas.Export{TenantID: fmt.Sprintf("past-%04d", n), ExportID: "e", State: schemas.Expired, Events: 1})
	}
	check(t, d.ledger.SaveExports(t.Context(), all))
	read := func(query string) (page api.Listing[string]) {
		status, body := d.get("/tenants?" + query)
		if err := json.Unmarshal(body, &page); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		return page
	}
	var found []string
	for cursor := ""; ; {
		page := read("q=past-&limit=500&cursor=" + url.QueryEscape(cursor))
		found = append(found, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(found) != tenants || !slices.IsSorted(found) || found[tenants-1] != "past-1099" {
		t.Errorf("the pages have %d tenants of %d", len(found), tenants)
	}
	if page := read("q=PAST-109"); len(page.Items) != 10 || page.Next != "" {
		t.Errorf("those with 109 are %v", page.Items)
	}
	if page := read("prefix=PAST-109"); len(page.Items) != 10 || page.Next != "" {
		t.Errorf("those that begin with past-109 are %v", page.Items)
	}
	for _, query := range []string{"q=past&prefix=past-1", "q=past-1&prefix=past-1&limit=5"} {
		if status, body := d.get("/tenants?" + query); status != http.StatusUnprocessableEntity || !strings.Contains(string(body), "give q or prefix") {
			t.Errorf("%s is answered with %d %s", query, status, body)
		}
	}
	if page := read(""); len(page.Items) != 50 || page.Next == "" {
		t.Errorf("a page has %d tenants", len(page.Items))
	}
	if status, _ := d.get("/tenants?cursor=e30x"); status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
		t.Errorf("a cursor that was not given out: %d", status)
	}

	d = newDesk(t, "past-0007", 0, 0)
	if page := read("q=past"); !slices.Equal(page.Items, []string{"past-0007"}) {
		t.Errorf("who sees one tenant lists %v", page.Items)
	}
}
