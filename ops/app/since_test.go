package app_test

import (
	"strings"
	"testing"

	"cdds/schemas"
)

func TestRunsOfAJobThatAreAtWorkTogetherBecomeOneChain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	acme := s.as("administrator", "acme")
	made := s.furnish(acme)
	delta := jobBody("delta", made["fingerprint"])
	delta["timeframe"] = map[string]any{"kind": schemas.TimeframeSinceLastRun}
	acme.must(201, "POST", "/jobs", delta)
	run := func() schemas.Export {
		t.Helper()
		var e schemas.Export
		acme.into(&e, 202, "POST", "/jobs/delta/run", nil)
		return e
	}
	chain := func(after string) (runs schemas.ChainRuns) {
		t.Helper()
		acme.into(&runs, 200, "GET", "/jobs/delta/chain?wait=20&after="+after, nil)
		return runs
	}

	first := s.await("acme", run().ExportID)
	if first.State != schemas.Completed || first.Done.Rows != 20 || first.Continues != nil || first.Completion.Chain == nil {
		t.Fatalf("the first is %s with %d rows, %+v, %+v", first.State, first.Done.Rows, first.Continues, first.Failure)
	}
	s.publish(interaction("acme", 100))
	one, two := run(), run() // at once
	for _, id := range []string{one.ExportID, two.ExportID} {
		if e := s.await("acme", id); e.State == schemas.Cancelled {
			if !strings.Contains(e.Reason, "requested again as "+id+".2") {
				t.Errorf("%s lost its place because %q", id, e.Reason)
			}
			s.await("acme", id+".2")
		} else if e.State != schemas.Completed || e.Continues == nil {
			t.Errorf("%s is %s and continues %+v: %+v", id, e.State, e.Continues, e.Failure)
		}
	}
	runs := chain("1")
	var rows, number = int64(0), 1
	for _, r := range runs.Runs {
		rows, number = rows+r.Totals.Rows, number+1
		if r.Number != number {
			t.Errorf("run %s has number %d, want %d", r.ExportID, r.Number, number)
		}
	}
	if len(runs.Runs) != 2 || rows != 1 || runs.Entity != schemas.EntityInteraction {
		t.Errorf("after the first come %+v", runs)
	}

	acme.must(200, "POST", "/jobs/delta/restart-chain", nil)
	whole := s.await("acme", run().ExportID)
	if whole.Continues != nil || whole.StartsOver == "" || whole.Done.Rows != 21 || whole.Completion.Chain.Number != 4 {
		t.Errorf("after it was started over a run has %d rows, continues %+v, because %q", whole.Done.Rows, whole.Continues, whole.StartsOver)
	}
	acme.must(204, "POST", "/jobs/delta/chain/acknowledge", map[string]any{"number": 4, "export_id": whole.ExportID})
	acme.must(201, "POST", "/jobs", jobBody("whole", made["fingerprint"]))
	acme.must(409, "POST", "/jobs/whole/restart-chain", nil)
}
