package ledger_test

import (
	"strings"
	"testing"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

func TestListingsHoldExportsOfBeforeThereWereSummaries(t *testing.T) {
	l := open(t)
	conn := stacktest.ClickHouse(t)
	export := func(id string) schemas.Export {
		return schemas.Export{
			TenantID: "summaries", ExportID: id, State: schemas.Completed, RequestedAt: from, UpdatedAt: from, Events: 3,
			Request: &schemas.ExportRequest{TenantID: "summaries", ExportID: id, Entity: schemas.EntityInteraction, RequestedBy: "ada", JobID: "nightly"},
			Parts:   []schemas.Receipt{{Part: schemas.Part{Number: 1, Rows: 7}, Name: "part"}}, Done: schemas.Totals{Parts: 1, Rows: 7},
		}
	}
	body, err := schemas.Encode(export("old"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "INSERT INTO exports (tenant_id, export_id, state, requested_at, updated_at, body, version) VALUES ({tenant:String}, 'old', 'completed', '2026-01-01', '2026-01-01', {body:String}, 3)",
		tables.Named("tenant", "summaries"), tables.Named("body", string(body))); err != nil {
		t.Fatal(err)
	}
	check(t, l.SaveExports(t.Context(), []schemas.Export{export("new")}))
	storeParts(t, l, "summaries", "old", 1)
	storeParts(t, l, "summaries", "new", 1)
	listed, err := l.ListExports(t.Context(), ledger.ExportFilter{TenantID: "summaries", Text: "ADA", JobID: "nightly"}, ledger.Page{Limit: 10})
	if err != nil || len(listed.Rows) != 2 {
		t.Fatalf("listed %+v, error %v", listed.Rows, err)
	}
	for _, e := range listed.Rows {
		if e.Done.Rows != 7 || e.Request.RequestedBy != "ada" || e.Parts != nil {
			t.Errorf("listed %+v", e)
		}
		if e, ok, err := l.Export(t.Context(), "summaries", e.ExportID); err != nil || !ok || len(e.Parts) != 0 {
			t.Errorf("%s comes with %+v, error %v", e.ExportID, e.Parts, err)
		}
		if whole, ok, err := l.WholeExport(t.Context(), "summaries", e.ExportID); err != nil || !ok || len(whole.Parts) != 1 {
			t.Errorf("%s has %+v, error %v", e.ExportID, whole.Parts, err)
		}
	}
}

// Summaries are most of the table: what listings filter by has columns of its own.
func TestListingsFilterByWhoRequestedAnExportAndWhetherItIsOfContactsWithoutReadingSummaries(t *testing.T) {
	l, conn := open(t), stacktest.ClickHouse(t)
	export := func(id, by string, contacts ...string) schemas.Export {
		return schemas.Export{
			TenantID: "columns", ExportID: id, State: schemas.Completed, RequestedAt: from, UpdatedAt: from, Events: 1,
			Request: &schemas.ExportRequest{TenantID: "columns", ExportID: id, Entity: schemas.EntityInteraction, RequestedBy: by, Contacts: contacts},
		}
	}
	check(t, l.SaveExports(t.Context(), []schemas.Export{export("a", "Ada"), export("b", "Bob", "c-1")}))
	check(t, conn.Exec(t.Context(), `INSERT INTO exports (tenant_id, export_id, state, requested_at, updated_at, body, summary, requested_by, of_contacts, version)
SELECT tenant_id, 'c', state, requested_at, updated_at, body, '{"tenant_id":"columns","export_id":"c"}', 'Cleo', true, 1 FROM exports WHERE tenant_id = 'columns' AND export_id = 'a'`))
	for _, c := range []struct {
		f    ledger.ExportFilter
		want string
	}{
		{ledger.ExportFilter{Text: "BO"}, "b"}, {ledger.ExportFilter{Text: "cle"}, "c"}, {ledger.ExportFilter{OfContacts: true}, "c b"}, {ledger.ExportFilter{}, "c b a"},
	} {
		c.f.TenantID = "columns"
		found, err := l.ListExports(t.Context(), c.f, ledger.Page{Limit: 10})
		check(t, err)
		var ids []string
		for _, e := range found.Rows {
			ids = append(ids, e.ExportID)
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%+v finds %q, want %q", c.f, got, c.want)
		}
	}
}

// TestBytesOfExportsAreThoseOfTheDayTheyBegan has exports of a worker and of a history of before
// that was stated, too: those count for the day of their request.
func TestBytesOfExportsAreThoseOfTheDayTheyBegan(t *testing.T) {
	l, conn := open(t), stacktest.ClickHouse(t)
	next := schemas.TimeOf(from.AddDate(0, 0, 1))
	export := func(id string, requested, began schemas.Time, bytes int64) schemas.Export {
		return schemas.Export{
			TenantID: "began", ExportID: id, State: schemas.Completed, RequestedAt: requested, BeganAt: began, UpdatedAt: requested, Events: 1,
			Done: schemas.Totals{SealedBytes: bytes},
		}
	}
	check(t, l.SaveExports(t.Context(), []schemas.Export{export("before", from, from, 1), export("overnight", from, next, 10), export("earlier-worker", next, schemas.Time{}, 100)}))
	for id, began := range map[string]schemas.Time{"earlier-history": {}, "read-again": next} {
		body, err := schemas.Encode(export(id, from, began, 1000))
		check(t, err)
		check(t, conn.Exec(t.Context(), "INSERT INTO exports (tenant_id, export_id, state, requested_at, updated_at, body, version) VALUES ('began', {id:String}, 'completed', '2026-01-01', '2026-01-01', {body:String}, 1)",
			tables.Named("id", id), tables.Named("body", string(body))))
	}
	for since, want := range map[schemas.Time]int64{from: 2111, next: 1110} {
		if n, err := l.SealedSince(t.Context(), "began", since.Time); err != nil || n != want {
			t.Errorf("since %s exports have %d bytes, want %d: %v", since, n, want, err)
		}
	}
}
