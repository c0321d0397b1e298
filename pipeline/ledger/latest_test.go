package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

func TestTheLatestRunOfAJobIsWholeWhileItIsAtWork(t *testing.T) {
	l := open(t)
	run := func(id, job string, hour int, state schemas.State) schemas.Export {
		return schemas.Export{
			TenantID: "latest", ExportID: id, State: state, Events: 1, Waiting: "waiting", RequestedAt: schemas.TimeOf(from.Add(time.Duration(hour) * time.Hour)),
			Request: &schemas.ExportRequest{JobID: job, Entity: schemas.EntityInteraction}, Done: schemas.Totals{Rows: 7},
		}
	}
	check(t, l.SaveExports(t.Context(), []schemas.Export{
		run("a1", "a", 1, schemas.Completed), run("a2", "a", 2, schemas.Running), run("b2", "b", 2, schemas.Failed), run("b1", "b", 1, schemas.Running), run("c1", "c", 1, schemas.Completed),
	}))
	runs, err := l.LatestRuns(t.Context(), "latest", []string{"a", "b", "never"})
	check(t, err)
	if len(runs) != 2 || runs["a"].ExportID != "a2" || runs["a"].State != schemas.Running || runs["a"].Waiting != "waiting" || runs["a"].Done.Rows != 7 {
		t.Errorf("the latest runs are %+v", runs)
	}
	if b := runs["b"]; b == nil || b.ExportID != "b2" || b.State != schemas.Failed || !b.RequestedAt.Equal(from.Add(2*time.Hour)) {
		t.Errorf("the latest run of b is %+v", b)
	}
}

// Folds come in any order and again. A later one may correct of which job an export is and when it
// was requested.
func TestTheLatestRunOfAJobIsTheOneThatFoldsSayWasRequestedLast(t *testing.T) {
	l := open(t)
	jobs := []string{"a", "b", "c"}
	for seed := range uint64(30) {
		random, tenant := rand.New(rand.NewPCG(seed, 17)), fmt.Sprintf("latest-%d", seed)
		newest := map[string]schemas.Export{}
		for range 4 {
			var some []schemas.Export
			for range 1 + random.IntN(8) {
				e := schemas.Export{
					TenantID: tenant, ExportID: fmt.Sprintf("e%d", random.IntN(6)), Events: 1 + random.IntN(1000),
					State:       schemas.States()[random.IntN(len(schemas.States()))],
					RequestedAt: schemas.TimeOf(from.Add(time.Duration(random.IntN(4)) * time.Hour)),
					Request:     &schemas.ExportRequest{JobID: append(jobs, "")[random.IntN(4)], Entity: schemas.EntityInteraction},
				}
				if before, ok := newest[e.ExportID]; ok && before.Events == e.Events {
					continue // a number of events is one fold
				}
				if newest[e.ExportID].Events < e.Events {
					newest[e.ExportID] = e
				}
				some = append(some, e)
			}
			check(t, l.SaveExports(t.Context(), some))
			if random.IntN(4) == 0 {
				check(t, stacktest.ClickHouse(t).Exec(t.Context(), "OPTIMIZE TABLE exports FINAL"))
			}

			want := map[string]schemas.Export{}
			for _, e := range newest {
				last, ok := want[e.Request.JobID]
				if c := e.RequestedAt.Time.Compare(last.RequestedAt.Time); !ok || c > 0 || c == 0 && e.ExportID > last.ExportID {
					want[e.Request.JobID] = e
				}
			}
			delete(want, "") // not of a job
			got, err := l.LatestRuns(t.Context(), tenant, jobs)
			check(t, err)
			if len(got) != len(want) {
				t.Fatalf("seed %d: there are latest runs of %d jobs, want %d", seed, len(got), len(want))
			}
			for job, e := range want {
				g := got[job]
				if g == nil || g.ExportID != e.ExportID || g.State != e.State || !g.RequestedAt.Equal(e.RequestedAt.Time) {
					t.Fatalf("seed %d: the latest run of %s is %+v, want %+v", seed, job, g, e)
				}
				if whole := g.Request != nil; whole == e.State.Ended() {
					t.Fatalf("seed %d: the run of %s is %s; whole: %v", seed, job, e.State, whole)
				}
			}
		}
	}
}

func TestTheLatestRunsAreFoundWithoutReadingAllExportsOfTheTenant(t *testing.T) {
	l := open(t)
	const exports, jobs = 60_000, 10
	at := func(n int) schemas.Time { return schemas.TimeOf(from.Add(time.Duration(n) * time.Minute)) }
	var all []schemas.Export
	for n := range exports {
		all = append(all, schemas.Export{
			TenantID: "many-runs", ExportID: fmt.Sprintf("e-%06d", n), State: schemas.Completed, Events: 1, RequestedAt: at(n),
			Request: &schemas.ExportRequest{JobID: fmt.Sprintf("job-%d", n%jobs), Entity: schemas.EntityInteraction},
		})
	}
	check(t, l.SaveExports(t.Context(), all))
	// The exports themselves are read by key, some thousands of rows at a time.
	few := tables.WithSettings(t.Context(), clickhouse.Settings{"max_rows_to_read": exports / 2})
	runs, err := l.LatestRuns(few, "many-runs", []string{"job-3", "job-9"})
	check(t, err)
	for job, n := range map[string]int{"job-3": exports - 7, "job-9": exports - 1} {
		if r := runs[job]; r == nil || r.ExportID != fmt.Sprintf("e-%06d", n) || !r.RequestedAt.Equal(at(n).Time) {
			t.Errorf("the latest run of %s is %+v", job, r)
		}
	}
}
