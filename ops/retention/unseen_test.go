package retention_test

import (
	"testing"

	"cdds/ops/retention"
	"cdds/schemas"
)

func TestAnExportWhoseEndHistoryMissedGoesWhenItsTimeIsOver(t *testing.T) {
	h := aged(t, 40)
	h.export("done")
	for _, id := range []string{"failed", "at-work"} {
		h.accept(id)
		h.put(id, schemas.PartName(schemas.EntityInteraction, id, schemas.Part{Number: 1}), "sealed")
	}
	_, _, err := h.exporter().Fail(t.Context(), "acme", "failed", 1, schemas.Failure{Stage: "part", Reason: "no answer"})
	check(t, err)
	for id, events := range h.stored { // a backup of before they ended, and Kafka keeps no events of then
		if id[1] == "done" {
			h.log -= len(events) - 1
			h.stored[id] = events[:1]
		}
	}
	k, objects := h.keeper(), h.objects("")
	for range 19 {
		if report := h.sweep(k); report != (retention.Report{}) || h.objects("") != objects {
			t.Fatalf("at %s, before its time, the sweep did %+v", h.now, report)
		}
		h.now = h.now.Add(day)
	}
	h.now = h.now.Add(12 * day)
	h.sweep(k)
	h.now = h.now.Add(2 * day)
	report := h.sweep(k)
	if report.Ended != 2 || h.objects("acme/done/interaction") != 0 || h.objects("acme/failed/interaction") != 0 {
		t.Errorf("their time is over, and the sweep did %+v", report)
	}
	if h.objects("acme/at-work/interaction") != 1 {
		t.Error("what somebody may work on is gone")
	}
	for _, id := range []string{"done", "failed"} {
		if e, _, _ := h.Export(t.Context(), "acme", id); e.State != schemas.Expired {
			t.Errorf("history says that %s is %s", id, e.State)
		}
	}
}
