package app_test

import (
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

func TestRunsSinceTheLastAreAtWorkOneAfterTheOther(t *testing.T) {
	s := newSite(t)
	acme := s.as("administrator", "acme")
	made := s.furnish(acme)
	delta := jobBody("delta", made["fingerprint"])
	delta["timeframe"] = map[string]any{"kind": schemas.TimeframeSinceLastRun}
	acme.must(201, "POST", "/jobs", delta)

	now := schemas.TimeOf(time.Now())
	run := schemas.Export{
		TenantID: "acme", ExportID: "delta-1", State: schemas.Running, Events: 1, RequestedAt: now, UpdatedAt: now, Snapshot: schemas.Snapshot{1},
		Request: &schemas.ExportRequest{TenantID: "acme", ExportID: "delta-1", Entity: schemas.EntityInteraction, JobID: "delta", ScheduledAt: now},
	}
	check(t, s.ledger.SaveExports(t.Context(), []schemas.Export{run}))
	if answer := acme.must(409, "POST", "/jobs/delta/run", nil); !strings.Contains(string(answer), "run delta-1 of the job is at work") {
		t.Errorf("while one is at work, another gets %s", answer)
	}

	run.State, run.Events, run.EndedAt = schemas.Failed, 2, now
	newer := run
	newer.ExportID, newer.State, newer.Snapshot, newer.Completion = "delta-2", schemas.Completed, schemas.Snapshot{3}, &schemas.Completion{}
	check(t, s.ledger.SaveExports(t.Context(), []schemas.Export{run, newer}))
	if answer := acme.must(409, "POST", "/exports/delta-1/retry", nil); !strings.Contains(string(answer), "run delta-2 was completed since") {
		t.Errorf("a retry behind a newer run gets %s", answer)
	}

	var first, second schemas.Export
	acme.into(&first, 202, "POST", "/jobs/delta/run", nil)
	if first = s.await("acme", first.ExportID); first.State != schemas.Completed || first.Done.Rows != 20 || !strings.Contains(first.Request.StartsOver, "not that of run delta-2") {
		t.Fatalf("it is %s with %d rows, starts over because %q, %+v", first.State, first.Done.Rows, first.Request.StartsOver, first.Failure)
	}
	s.publish(interaction("acme", 100))
	acme.into(&second, 202, "POST", "/jobs/delta/run", nil)
	if second = s.await("acme", second.ExportID); second.State != schemas.Completed || second.Done.Rows != 1 || second.Request.SinceExport != first.ExportID || second.Request.StartsOver != "" {
		t.Errorf("it is %s with %d rows since %q, starts over because %q", second.State, second.Done.Rows, second.Request.SinceExport, second.Request.StartsOver)
	}
}
