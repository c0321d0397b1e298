package app_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// digestsOf is what must be equal between exports of the same snapshot.
func digestsOf(e schemas.Export) (all []string) {
	for _, p := range e.Parts {
		all = append(all, fmt.Sprint(p.Number, p.First, p.Last, p.Rows, p.Bytes, p.JSONLSHA256, p.ZipSHA256))
	}
	return all
}

func TestTheSameSnapshotGivesTheSameBytesWhateverCameSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 5000)
	ask := func(id string, at schemas.Snapshot) schemas.Export {
		r := w.request("acme", id)
		r.SplitSize, r.Snapshot = 256<<10, at
		w.publish(r)
		e := w.await("acme", id)
		if e.State != schemas.Completed {
			t.Fatalf("%s is %s: %+v %s", id, e.State, e.Failure, e.Reason)
		}
		return e
	}
	first, second := ask("first", nil), ask("second", nil)
	if len(first.Parts) < 3 || !slices.Equal(digestsOf(first), digestsOf(second)) {
		t.Errorf("twice the same export in %d and %d parts has other digests", len(first.Parts), len(second.Parts))
	}
	w.load("acme", 4000, 6000) // updates of old ones and new ones
	third := ask("third", first.Snapshot)
	if !slices.Equal(digestsOf(first), digestsOf(third)) {
		t.Error("the snapshot repeated later gives other bytes")
	}
	fourth := ask("fourth", nil)
	if fourth.Done.Rows != 6000 || slices.Equal(digestsOf(first), digestsOf(fourth)) {
		t.Errorf("a new snapshot has %d rows, want 6000 and other bytes", fourth.Done.Rows)
	}
}

// load publishes interactions from to exclusive, each with a text that depends on
// how often load was called.
func (w *world) load(tenant string, from, to int) {
	w.t.Helper()
	w.loads++
	for n := from; n < to; n++ {
		e := interaction(tenant, n)
		e.Notes = fmt.Sprintf("load %d", w.loads)
		w.publisher.PublishAsync(w.t.Context(), e, func(err error) {
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	check(w.t, w.publisher.Flush(w.t.Context()))
}

func TestTheNewestVersionBelowTheSnapshotCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	early := interaction("acme", 1)
	early.Text, early.MediaType = "first", "voice"
	w.publish(early)
	late := interaction("acme", 1)
	late.Text, late.MediaType = "second", "chat"
	w.publish(late)

	for media, want := range map[string]int{"chat": 1, "voice": 0} {
		r := w.request("acme", media)
		r.MediaTypes = []string{media}
		w.publish(r)
		e := w.await("acme", media)
		if e.State != schemas.Completed || e.Done.Rows != int64(want) {
			t.Errorf("%s: %s with %d rows; want %d: the filter must see the newest version", media, e.State, e.Done.Rows, want)
		}
		for _, line := range w.open(e) {
			if want == 1 && !strings.Contains(line, `"second"`) {
				t.Errorf("the line is %s", line)
			}
		}
	}
}

func TestAnExportWaitsUntilIngestHasStoredWhatCameBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("export", "history")
	w.load("acme", 0, 500)
	w.publish(w.request("acme", "patient"))
	w.awaitThat("acme", "patient", func(e schemas.Export) bool { return strings.Contains(e.Waiting, "500 records behind") })

	w.load("acme", 500, 600) // after the snapshot: never in it
	w.run("ingest")
	if e := w.await("acme", "patient"); e.State != schemas.Completed || e.Done.Rows != 500 {
		t.Errorf("it is %s with %d rows; want the 500 from before the request: %+v", e.State, e.Done.Rows, e.Failure)
	}
}

func TestAnExportThatWaitedTooLongFailsWithTheReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Export.IngestWait = 300 * time.Millisecond
	w.run("export", "history")
	w.load("acme", 0, 5)
	w.publish(w.request("acme", "hasty"))
	e := w.await("acme", "hasty")
	if e.State != schemas.Failed || e.Failure.Stage != "barrier" || !e.Failure.Retryable || !strings.Contains(e.Failure.Reason, "5 records behind") {
		t.Errorf("it is %s with %+v", e.State, e.Failure)
	}
}

func TestACancelledExportLeavesNoArtifacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("export", "history")
	w.load("acme", 0, 5)
	w.publish(w.request("acme", "gone")) // waits: nothing ingests
	w.awaitThat("acme", "gone", func(e schemas.Export) bool { return e.Waiting != "" })
	cancel := &schemas.ExportRequest{Action: schemas.ActionCancel, TenantID: "acme", ExportID: "gone"}
	w.publish(cancel)
	if e := w.await("acme", "gone"); e.State != schemas.Cancelled {
		t.Errorf("it is %s", e.State)
	}
	w.publish(cancel) // twice is once
	w.run("ingest")
	w.publish(w.request("acme", "stays"))
	w.await("acme", "stays")
	w.publish(&schemas.ExportRequest{Action: schemas.ActionCancel, TenantID: "acme", ExportID: "stays"}) // too late
	w.publish(w.request("acme", "gone"))                                                                 // does not bring it back
	w.publish(w.request("acme", "last"))
	w.await("acme", "last")
	for id, want := range map[string]schemas.State{"gone": schemas.Cancelled, "stays": schemas.Completed} {
		if e := w.await("acme", id); e.State != want {
			t.Errorf("%s is %s, want %s", id, e.State, want)
		}
	}
	objects, err := w.bucket.List(t.Context(), schemas.ExportPrefix("acme", "gone"))
	check(t, err)
	for _, o := range objects {
		if strings.HasSuffix(o.Key, ".p7m") || strings.HasSuffix(o.Key, schemas.ManifestName) {
			t.Errorf("%s is left", o.Key)
		}
	}
}

func TestTwoWorkersOnTheSameExportEndInOneValidSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("ingest", "export", "history")
	w.load("acme", 0, 4000)
	r := w.request("acme", "twice")
	r.SplitSize = 128 << 10
	w.publish(r)
	w.awaitThat("acme", "twice", func(e schemas.Export) bool { return e.Done.Parts > 0 || e.State.Ended() })
	stop() // in the middle, most likely: what is stored stays
	w.run("ingest", "history", "export")
	e := w.await("acme", "twice")
	if e.State != schemas.Completed || e.Done.Rows != 4000 {
		t.Fatalf("it is %s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}
	for _, p := range e.Parts {
		o, err := w.bucket.Stat(t.Context(), p.Key)
		if err != nil || o.Size != p.SealedBytes || o.Metadata["sealed-sha256"] != p.SealedSHA256 {
			t.Errorf("part %d in history is not the one stored: %+v, %v", p.Number, o, err)
		}
	}
	if got := w.open(e); len(got) != 4000 {
		t.Errorf("%d lines came out", len(got))
	}
}

func TestContactsAreExportedLikeInteractions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	created := schemas.TimeOf(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC))
	for n := range 50 {
		w.publish(&schemas.Contact{ContactID: fmt.Sprint("c-", n), TenantID: "acme", CreatedAt: created, DisplayName: "Ada", Emails: []string{"a@example.org"}})
	}
	r := w.request("acme", "people")
	r.Entity = schemas.EntityContact
	w.publish(r)
	e := w.await("acme", "people")
	if e.State != schemas.Completed || len(w.open(e)) != 50 {
		t.Errorf("it is %s with %d rows, %+v", e.State, e.Done.Rows, errors.New(e.Reason))
	}
}
