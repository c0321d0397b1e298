package app_test

import (
	"testing"

	"cdds/schemas"
)

func TestAnErasureThatAsksForItDeletesTheExportsThatHeldIt(t *testing.T) {
	w := newWorld(t)
	w.run("ingest", "export", "history", "erasure")
	w.load("acme", 0, 10)
	holding, without := w.request("acme", "holding"), w.request("acme", "without")
	without.To, without.From = without.From, schemas.TimeOf(without.From.AddDate(-1, 0, 0))
	w.publish(holding, without)
	w.await("acme", "holding")
	w.await("acme", "without")

	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-2", InteractionID: "i-000003", DeleteArtifacts: true})
	e := w.awaitErasure("acme", "case-2")
	if e.Rows != 1 || len(e.Exports) != 1 || e.Exports[0].ExportID != "holding" || !e.Exports[0].Deleted {
		t.Errorf("it says %+v", e)
	}
	w.awaitThat("acme", "holding", func(e schemas.Export) bool { return e.State == schemas.Deleted })
	if left := w.artifactsIn("acme", "holding"); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	if e := w.await("acme", "without"); e.State != schemas.Completed {
		t.Errorf("the export that never held it is %s", e.State)
	}
}
