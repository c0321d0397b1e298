package ledger_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/schemas"
)

func TestTheLastCompletedRunReachesFurthestAndAStaleOneIsTold(t *testing.T) {
	l := open(t)
	if _, _, found, err := l.LastCompletedRun(t.Context(), "runs", "none", schemas.EntityInteraction); found || err != nil {
		t.Fatalf("of no runs there is a last one: %t, %v", found, err)
	}
	tried := 0
	rapid.Check(t, func(rt *rapid.T) {
		if tried++; tried > 60 {
			return
		}
		job := fmt.Sprint("job-", time.Now().UnixNano())
		var all []schemas.Export
		var want, wantStale string
		reached := int64(-1)
		for n := range rapid.IntRange(1, 12).Draw(rt, "runs") {
			at := schemas.TimeOf(from.Add(time.Duration(n) * time.Hour))
			e := schemas.Export{
				TenantID: "runs", ExportID: fmt.Sprintf("%s-%c", job, 'z'-n), State: schemas.Completed, Events: 1, RequestedAt: at, EndedAt: at, UpdatedAt: at,
				Request:  &schemas.ExportRequest{JobID: job, Entity: schemas.EntityInteraction, ScheduledAt: schemas.TimeOf(from.Add(-time.Duration(n) * time.Hour))},
				Snapshot: schemas.Snapshot{rapid.Int64Range(0, 5).Draw(rt, "p0"), rapid.Int64Range(0, 5).Draw(rt, "p1")},
			}
			if rapid.Bool().Draw(rt, "continues") {
				e.Since = schemas.Snapshot{0, 0}
			}
			reaches := e.Snapshot.Records()
			switch rapid.SampledFrom([]string{"completed", "completed", "expired", "failed", "contacts"}).Draw(rt, "is") {
			case "failed":
				e.State = schemas.Failed
				all = append(all, e)
				continue
			case "contacts":
				e.Request.Entity, e.Completion = schemas.EntityContact, &schemas.Completion{}
				all = append(all, e)
				continue
			case "expired":
				e.State = schemas.Expired
			}
			e.Completion = &schemas.Completion{}
			all = append(all, e)
			switch {
			case reaches < reached:
				wantStale = e.ExportID
			case e.Since == nil:
				want, wantStale, reached = e.ExportID, "", reaches
			default:
				want, reached = e.ExportID, reaches
			}
		}
		if err := l.SaveExports(t.Context(), all); err != nil {
			rt.Fatal(err)
		}
		last, stale, found, err := l.LastCompletedRun(t.Context(), "runs", job, schemas.EntityInteraction)
		if err != nil || last.ExportID != want || stale != wantStale || found != (want != "") {
			rt.Fatalf("the last is %q, stale %q, %v; want %q, %q of %+v", last.ExportID, stale, err, want, wantStale, all)
		}
	})
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
