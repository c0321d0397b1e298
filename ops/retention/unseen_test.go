package retention_test

import (
	"testing"

	"cdds/ops/retention"
	"cdds/schemas"
)

func TestAnExportWhoseEndHistoryMissedGoesWhenItsTimeIsOver(t *testing.T) {
	h := aged(t, 40)
	h.export("done")
	for _, id := range []string{"failed", "at-work", "cancelled"} {
		h.accept(id)
		h.put(id, schemas.PartName(schemas.EntityInteraction, id, schemas.Part{Number: 1}), "sealed")
	}
	_, _, err := h.exporter().Fail(t.Context(), "acme", "failed", 1, schemas.Failure{Stage: "part", Reason: "no answer"})
	check(t, err)
	_, err = h.exporter().End(t.Context(), "acme", "cancelled", schemas.Cancelled)
	check(t, err)
	check(t, h.exporter().MarkCancelled(t.Context(), "acme", "cancelled"))
	for id, events := range h.stored { // a backup from before they ended, and Kafka no longer has the events
		if id[1] == "done" {
			h.log -= len(events) - 1
			h.stored[id] = events[:1]
		}
	}
	k, objects := h.keeper(), h.objects("")
	for n := range 19 {
		switch report := h.sweep(k); {
		case n == 2 && report == (retention.Report{Leftovers: 1}) && h.objects("") == objects-1: // of the cancelled one
			objects--
		case report != (retention.Report{}) || h.objects("") != objects:
			t.Fatalf("at %s, before its time, the sweep did %+v", h.now, report)
		}
		h.now = h.now.Add(day)
	}
	if h.objects("acme/cancelled/interaction") != 0 {
		t.Error("an artifact is left of an export that the bucket says is cancelled")
	}
	if e, _, _ := h.Export(t.Context(), "acme", "cancelled"); e.State != schemas.Requested {
		t.Errorf("before its time is over history says of the cancelled export that it is %s", e.State)
	}
	h.now = h.now.Add(12 * day)
	h.sweep(k)
	h.now = h.now.Add(2 * day)
	h.unheard = 1 // its first report gets lost with the process
	if _, err := k.Sweep(t.Context()); err == nil {
		t.Fatal("nothing could be published, and nobody says so")
	}
	k = h.keeper()
	h.sweep(k)
	h.now = h.now.Add(2 * day)
	report := h.sweep(k)
	if report.Ended == 0 || h.objects("acme/done/interaction") != 0 || h.objects("acme/failed/interaction") != 0 {
		t.Errorf("their time is over, and the sweep did %+v", report)
	}
	if h.objects("acme/at-work/interaction") != 1 {
		t.Error("what somebody may work on is gone")
	}
	for _, id := range []string{"done", "failed", "cancelled"} {
		if e, _, _ := h.Export(t.Context(), "acme", id); e.State != schemas.Expired {
			t.Errorf("history says that %s is %s", id, e.State)
		}
	}
}
