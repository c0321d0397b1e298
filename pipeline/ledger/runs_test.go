package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestTheRecentRunsOfManyJobsAreReadTogether(t *testing.T) {
	l := open(t)
	const jobs = 1500 // more than fit into one parameter
	hour := func(n int) schemas.Time { return schemas.TimeOf(from.Add(time.Duration(n) * time.Hour)) }
	var all []schemas.Export
	var keys []string
	for n := range jobs {
		tenant, job := fmt.Sprintf("recent-%d", n%3), fmt.Sprintf("job-%d", n)
		keys = append(keys, tenant+"/"+job)
		for run := range 3 {
			at := hour(run)
			all = append(all, schemas.Export{
				TenantID: tenant, ExportID: fmt.Sprintf("%s-%d", job, run), State: schemas.Completed, Events: 1, RequestedAt: at, UpdatedAt: at,
				Request: &schemas.ExportRequest{JobID: job, Entity: schemas.EntityInteraction, ScheduledAt: at},
			})
		}
	}
	last := all[len(all)-1]
	last.State, last.Events = schemas.Expired, 2
	check(t, l.SaveExports(t.Context(), append(all, last)))

	runs, err := l.RecentRuns(t.Context(), append(keys, "recent-0/job-1", "recent-9/none"), 2)
	check(t, err)
	if len(runs) != jobs {
		t.Errorf("there are runs of %d jobs, want %d", len(runs), jobs)
	}
	for n, key := range keys {
		job := fmt.Sprintf("job-%d", n)
		want := []schemas.JobRun{{ExportID: job + "-2", State: schemas.Completed, ScheduledAt: hour(2)}, {ExportID: job + "-1", State: schemas.Completed, ScheduledAt: hour(1)}}
		if n == jobs-1 {
			want[0].State = schemas.Expired
		}
		if !slices.Equal(runs[key], want) {
			t.Fatalf("runs of %s are %+v, want %+v", key, runs[key], want)
		}
	}
}

func TestExportsThatMayHoldRowsAreThoseWithArtifactsOrAtWork(t *testing.T) {
	l := open(t)
	var all []schemas.Export
	for _, state := range schemas.States() {
		all = append(all, schemas.Export{
			TenantID: "holding", ExportID: string(state), State: state, Events: 1,
			Done: schemas.Totals{Parts: 1},
		})
		storeParts(t, l, "holding", string(state), 1)
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
