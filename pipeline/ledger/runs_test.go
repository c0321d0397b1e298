package ledger_test

import (
	"maps"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestTheChainOfAJobIsItsRunsThatTookAPlaceByNumber(t *testing.T) {
	l := open(t)
	at := from
	run := func(id, job string, number int, state schemas.State) schemas.Export {
		e := schemas.Export{
			TenantID: "runs", ExportID: id, State: state, Events: 1, RequestedAt: at, EndedAt: at, UpdatedAt: at,
			Request: &schemas.ExportRequest{JobID: job, Entity: schemas.EntityInteraction, ScheduledAt: at},
		}
		if number > 0 {
			e.Completion = &schemas.Completion{ManifestSHA256: id, Chain: &schemas.Chain{JobID: job, Number: number, PreviousExportID: "before " + id}}
		}
		return e
	}
	check(t, l.SaveExports(t.Context(), []schemas.Export{
		run("ten", "nightly", 10, schemas.Completed), run("nine", "nightly", 9, schemas.Expired), run("eight", "nightly", 8, schemas.Completed),
		run("lost", "nightly", 0, schemas.Cancelled), run("other", "weekly", 9, schemas.Completed),
	}))
	for after, want := range map[int]string{0: "eight nine", 8: "nine ten", 9: "ten", 10: ""} {
		runs, err := l.ChainRuns(t.Context(), "runs", "nightly", after, 2)
		check(t, err)
		var got []string
		for _, r := range runs {
			got = append(got, r.ExportID)
			if r.Gone != (r.ExportID == "nine") || r.PreviousExportID != "before "+r.ExportID || r.ManifestSHA256 != r.ExportID {
				t.Errorf("a run is %+v", r)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("after %d come %q, want %q", after, got, want)
		}
	}
}

func TestExportsThatMayHoldRowsAreThoseWithArtifactsOrAtWork(t *testing.T) {
	l := open(t)
	var all []schemas.Export
	for _, state := range schemas.States() {
		all = append(all, schemas.Export{
			TenantID: "holding", ExportID: string(state), State: state, Events: 1,
			Parts: []schemas.Receipt{{Part: schemas.Part{Number: 1}}},
		})
	}
	check(t, l.SaveExports(t.Context(), all))
	got := map[string]int{}
	check(t, l.ExportsHoldingRows(t.Context(), "holding", func(e schemas.Export) error {
		got[e.ExportID] = len(e.Parts)
		return nil
	}))
	want := map[string]int{"requested": 0, "planned": 0, "running": 0, "completed": 0, "failed": 1}
	if !maps.Equal(got, want) {
		t.Errorf("exports and their parts are %v, want %v", got, want)
	}
}
