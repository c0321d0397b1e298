package ledger_test

import (
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
	if err := l.SaveExports(t.Context(), []schemas.Export{export("new")}); err != nil {
		t.Fatal(err)
	}
	listed, err := l.ListExports(t.Context(), ledger.ExportFilter{TenantID: "summaries", Text: "ADA", JobID: "nightly"}, ledger.Page{Limit: 10})
	if err != nil || len(listed.Rows) != 2 {
		t.Fatalf("listed %+v, error %v", listed.Rows, err)
	}
	for _, e := range listed.Rows {
		if e.Done.Rows != 7 || e.Request.RequestedBy != "ada" || e.Parts != nil {
			t.Errorf("listed %+v", e)
		}
		if whole, ok, err := l.Export(t.Context(), "summaries", e.ExportID); err != nil || !ok || len(whole.Parts) != 1 {
			t.Errorf("%s has %+v, error %v", e.ExportID, whole.Parts, err)
		}
	}
}
