package app_test

import (
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// multiply stores the only interaction n times over, each under an id of its own, as
// if they had all come in the record it came in.
func (w *world) multiply(n string) {
	w.t.Helper()
	w.exec(`INSERT INTO interactions (tenant_id, started_at, interaction_id, media_type, direction, status, queue, contact_id, body, body_bytes, source_partition, source_offset)
		SELECT tenant_id, started_at, concat(interaction_id, '-', toString(number)), media_type, direction, status, queue, contact_id, body, body_bytes, source_partition, source_offset
		FROM interactions, numbers(` + n + `) AS times`)
}

// queries is how many queries of exports ClickHouse is running.
func (w *world) queries() uint64 {
	return w.count("SELECT count() FROM system.processes WHERE query LIKE '%LIMIT 1 BY%' AND query NOT LIKE '%system.processes%'")
}

func TestACancelStopsTheQueryThatClickHouseRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 1)
	w.publish(w.request("acme", "one"))
	w.await("acme", "one")
	w.multiply("600_000")
	r := w.request("acme", "many")
	r.Compression = schemas.CompressionFast
	w.publish(r)
	for deadline := time.Now().Add(patience); w.queries() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the export never queried")
		}
	}
	began := time.Now()
	w.publish(control(schemas.ActionCancel, "many"))
	e := w.await("acme", "many")
	t.Logf("cancelled in history %s after the request, in its %s with %d parts", time.Since(began), e.State, e.Done.Parts)
	if e.State != schemas.Cancelled {
		t.Fatalf("it is %s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}
	for deadline := time.Now().Add(patience); w.queries() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("ClickHouse goes on with the query")
		}
	}
	t.Logf("ClickHouse was idle %s after the request", time.Since(began))
	objects, err := w.bucket.List(t.Context(), schemas.ExportPrefix("acme", "many"))
	check(t, err)
	for _, o := range objects {
		if strings.Contains(o.Key, ".p7") {
			t.Errorf("%s is left", o.Key)
		}
	}
}
