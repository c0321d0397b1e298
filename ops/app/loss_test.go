package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/ops/connect"
	"cdds/schemas"
)

// exec does to ClickHouse what nobody should.
func (w *world) exec(sql string) {
	w.t.Helper()
	conn, err := connect.ClickHouse(w.config.ClickHouse)
	check(w.t, err)
	defer func() { _ = conn.Close() }()
	check(w.t, conn.Exec(w.t.Context(), sql))
}

// TestNothingThatClickHouseLostIsLeftOutOfACompletedExport loses rows that ingest had
// committed, all of them and a single one.
func TestNothingThatClickHouseLostIsLeftOutOfACompletedExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stopIngest, stopOthers := w.run("ingest"), w.run("export", "history")
	w.load("acme", 0, 300)
	w.load("acme", 200, 400)
	w.produce(schemas.TopicInteractions, nil, []byte("no event"))
	w.publish(w.request("acme", "before"))
	if e := w.await("acme", "before"); e.State != schemas.Completed || e.Done.Rows != 400 {
		t.Fatalf("nothing is lost, and it is %s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}
	stopOthers()
	w.config.Export.IngestWait = 1500 * time.Millisecond // from now on there is nothing to wait for
	w.run("export", "history")
	for id, loss := range map[string]struct{ sql, count string }{
		"everything": {"TRUNCATE TABLE interactions", "500 records"},
		"one":        {"ALTER TABLE interactions DELETE WHERE interaction_id = 'i-000007' SETTINGS mutations_sync = 2", "1 record"},
	} {
		stopIngest() // which would read it again within a second or fifteen
		w.exec(loss.sql)
		w.publish(w.request("acme", id))
		e := w.await("acme", id)
		if e.State != schemas.Failed || e.Failure.Stage != "barrier" || !e.Failure.Retryable ||
			!strings.Contains(e.Failure.Reason, loss.count) || !strings.Contains(e.Failure.Hint, "ingest has read them again") {
			t.Fatalf("%s is lost, and the export is %s with %d rows, %+v", id, e.State, e.Done.Rows, e.Failure)
		}
		if n := w.count("SELECT count() FROM export_events WHERE export_id = '" + id + "' AND body LIKE '%waiting for " + loss.count + "%lost%'"); n == 0 {
			t.Errorf("%s is lost, and no status says what the export waits for", id)
		}
		stopIngest = w.run("ingest")                      // reads again what is lost
		for e.State == schemas.Failed && e.Attempt < 60 { // ingest may need longer than one attempt waits
			attempt := e.Attempt
			w.publish(control(schemas.ActionRetry, id))
			e = w.awaitThat("acme", id, func(e schemas.Export) bool { return e.State.Ended() && e.Attempt > attempt })
		}
		if e.State != schemas.Completed || len(w.open(e)) != 400 {
			t.Errorf("%s was lost and read again, and the export is %s with %d of 400 rows, %+v", id, e.State, e.Done.Rows, e.Failure)
		}
		if rows, letters := w.stored(schemas.TopicInteractions); rows != 500 || letters != 1 {
			t.Errorf("%s was lost and read again: %d rows and %d dead letters, want 500 and 1", id, rows, letters)
		}
	}
}

// TestHistoryReadsAgainWhatClickHouseLost loses events that history had committed, those of
// one export and then all of them, while history goes on.
func TestHistoryReadsAgainWhatClickHouseLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 10)
	ids := []string{"e0", "e1"}
	w.publish(w.request("acme", "e0"), w.request("acme", "e1"))
	w.await("acme", "e0")
	w.await("acme", "e1")
	for n, loss := range [][]string{
		{
			"ALTER TABLE exports DELETE WHERE export_id = 'e0' SETTINGS mutations_sync = 2",
			"ALTER TABLE export_events DELETE WHERE export_id = 'e0' SETTINGS mutations_sync = 2",
		},
		{"TRUNCATE TABLE artifacts", "TRUNCATE TABLE exports", "TRUNCATE TABLE export_events"},
	} {
		for _, sql := range loss {
			w.exec(sql)
		}
		after := fmt.Sprintf("after-%d", n)
		w.publish(w.request("acme", after))
		ids = append(ids, after)
		for _, id := range ids {
			if e := w.await("acme", id); e.State != schemas.Completed || e.Done.Parts != 1 {
				t.Errorf("after loss %d %s is %s with %d parts", n, id, e.State, e.Done.Parts)
			}
		}
	}
}

// TestHistoryFoldsAgainWhatARestoreLeftUnfolded has a backup of one table from a moment before that
// of the other: no event is missing, and an export is not what they say.
func TestHistoryFoldsAgainWhatARestoreLeftUnfolded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export")
	stop := w.run("history")
	w.load("acme", 0, 10)
	w.publish(w.request("acme", "e0"))
	w.await("acme", "e0")
	stop()
	w.exec("ALTER TABLE exports DELETE WHERE export_id = 'e0' SETTINGS mutations_sync = 2")
	w.run("history")
	if e := w.await("acme", "e0"); e.State != schemas.Completed || e.Done.Parts != 1 {
		t.Errorf("it is %s with %d parts", e.State, e.Done.Parts)
	}
}
