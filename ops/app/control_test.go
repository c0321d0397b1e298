package app_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// control asks for something to be done with an export of acme.
func control(action, id string) *schemas.ExportRequest {
	return &schemas.ExportRequest{Action: action, TenantID: "acme", ExportID: id, RequestedBy: "ada"}
}

// TestConsecutiveRunsHoldEveryVersionBetweenThemAndNoneTwice publishes and updates at
// random between runs, some of which are cancelled, and holds what the completed ones
// hold together against a whole export.
func TestConsecutiveRunsHoldEveryVersionBetweenThemAndNoneTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Log("seed", seed)
	newest, seen := map[string]string{}, map[string]bool{}
	w.load("acme", 0, 20)
	since, snapshot := "", schemas.Snapshot(nil)
	for n := range 6 {
		id := "run-" + string(rune('a'+n))
		from := random.IntN(60)
		w.load("acme", from, from+1+random.IntN(40))
		r := w.request("acme", id)
		r.SinceExport = since
		w.publish(r)
		if n == 2 {
			w.publish(control(schemas.ActionCancel, id))
		}
		e := w.await("acme", id)
		if e.State == schemas.Cancelled {
			continue
		}
		if e.State != schemas.Completed || (since != "") != (e.Continues != nil) {
			t.Fatalf("%s is %s since %v: %s %+v", id, e.State, e.Continues, e.Reason, e.Failure)
		}
		if e.Continues != nil && !slices.Equal(e.Continues.Snapshot, snapshot) {
			t.Errorf("%s begins at %v, not at %v", id, e.Continues.Snapshot, snapshot)
		}
		for _, line := range w.open(e) {
			if seen[line] {
				t.Errorf("%s holds again %s", id, line)
			}
			seen[line] = true
			newest[identity(line)] = line
		}
		since, snapshot = id, e.Snapshot
	}
	whole := w.request("acme", "whole")
	whole.Snapshot = snapshot
	w.publish(whole)
	lines := w.open(w.await("acme", "whole"))
	for _, line := range lines {
		if newest[identity(line)] != line {
			t.Errorf("the runs end with %q, the whole export with %q", newest[identity(line)], line)
		}
	}
	if len(lines) != len(newest) {
		t.Errorf("%d rows in the runs, %d in the whole export", len(newest), len(lines))
	}

	r := w.request("acme", "future")
	r.SinceExport, r.Snapshot = since, schemas.Snapshot{0}
	w.publish(r)
	if e := w.await("acme", "future"); e.State != schemas.Refused || !strings.Contains(e.Reason, "reaches past the snapshot") {
		t.Errorf("since lies past the snapshot, and it is %s: %s", e.State, e.Reason)
	}
	r = w.request("acme", "nowhere")
	r.SinceExport = "unheard-of"
	w.publish(r)
	if e := w.await("acme", "nowhere"); e.State != schemas.Refused || !strings.Contains(e.Reason, "has no export") {
		t.Errorf("since names nothing, and it is %s: %s", e.State, e.Reason)
	}
}

// identity is the part of a line that no version changes.
func identity(line string) string {
	e, err := schemas.DecodeInteraction([]byte(line))
	if err != nil {
		return line
	}
	return e.InteractionID
}

func TestARetriedExportGoesOnAndADeletedOneLeavesNoArtifacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Export.IngestWait = 300 * time.Millisecond
	w.run("export", "history")
	w.load("acme", 0, 50)
	w.publish(w.request("acme", "e"))
	first := w.await("acme", "e")
	if first.State != schemas.Failed {
		t.Fatalf("nothing ingests, and it is %s", first.State)
	}
	w.load("acme", 50, 60) // past its snapshot
	w.run("ingest")
	e := first
	for e.State == schemas.Failed { // ingest may need longer than one attempt waits
		attempt := e.Attempt
		w.publish(control(schemas.ActionRetry, "e"))
		e = w.awaitThat("acme", "e", func(e schemas.Export) bool { return e.State.Ended() && e.Attempt > attempt })
	}
	if e.State != schemas.Completed || e.Attempt < 2 || e.Done.Rows != 50 || e.Failure != nil {
		t.Errorf("attempt %d is %s and has %d rows and %+v; want the 50 of its snapshot", e.Attempt, e.State, e.Done.Rows, e.Failure)
	}
	w.publish(control(schemas.ActionDelete, "e"), control(schemas.ActionDelete, "e"))
	e = w.awaitThat("acme", "e", func(e schemas.Export) bool { return e.State == schemas.Deleted })
	if e.Reason != "deleted by ada" || e.RemovedAt.IsZero() {
		t.Errorf("history says %q at %s", e.Reason, e.RemovedAt)
	}
	objects, err := w.bucket.List(t.Context(), schemas.ExportPrefix("acme", "e"))
	check(t, err)
	for _, o := range objects {
		if strings.HasSuffix(o.Key, ".p7m") || strings.Contains(o.Key, schemas.ManifestName) {
			t.Errorf("%s is left", o.Key)
		}
	}
	r := w.request("acme", "next") // continues what was completed, though its files are gone
	r.SinceExport = "e"
	w.publish(r)
	if e := w.await("acme", "next"); e.State != schemas.Completed || e.Done.Rows != 10 {
		t.Errorf("it is %s with %d rows, want the 10 since: %s", e.State, e.Done.Rows, e.Reason)
	}
}
