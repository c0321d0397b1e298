package app_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/consumers/erasure"
	"cdds/ops/cli"
	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// TestAnErasureNamesAndDeletesTheExportsThatHoldItAndNoOthers erases one email. Every export
// covers its time.
func TestAnErasureNamesAndDeletesTheExportsThatHoldItAndNoOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history", "erasure")
	w.load("acme", 0, 10) // chats
	w.publish(w.request("acme", "before"))
	w.await("acme", "before")
	email := interaction("acme", 100)
	email.MediaType, email.Queue, email.Direction, email.Status = "email", "billing", "inbound", "open"
	email.Attributes = map[string]string{"region": "north"}
	w.publish(email, &schemas.Contact{ContactID: "c", TenantID: "acme", CreatedAt: email.StartedAt})

	want := []string{"all", "attributes", "direction", "email", "queue", "since", "status"}
	asked := map[string]func(*schemas.ExportRequest){
		"all":       func(*schemas.ExportRequest) {},
		"email":     func(r *schemas.ExportRequest) { r.MediaTypes = []string{"chat", "email"} },
		"queue":     func(r *schemas.ExportRequest) { r.Queues = []string{"billing", "sales"} },
		"direction": func(r *schemas.ExportRequest) { r.Directions = []string{"inbound"} },
		"status":    func(r *schemas.ExportRequest) { r.Statuses = []string{"open"} },
		"attributes": func(r *schemas.ExportRequest) {
			r.Attributes = map[string]string{"region": "north"}
		},
		"since":            func(r *schemas.ExportRequest) { r.SinceExport = "before" },
		"voice":            func(r *schemas.ExportRequest) { r.MediaTypes = []string{"voice"} },
		"other-queue":      func(r *schemas.ExportRequest) { r.Queues = []string{"sales"} },
		"other-direction":  func(r *schemas.ExportRequest) { r.Directions = []string{"outbound"} },
		"other-status":     func(r *schemas.ExportRequest) { r.Statuses = []string{"completed"} },
		"other-attributes": func(r *schemas.ExportRequest) { r.Attributes = map[string]string{"region": "south"} },
		"contacts":         func(r *schemas.ExportRequest) { r.Entity = schemas.EntityContact },
		"other-time":       func(r *schemas.ExportRequest) { r.To = email.StartedAt },
	}
	for id, edit := range asked {
		r := w.request("acme", id)
		edit(r)
		w.publish(r)
	}
	for id := range asked {
		if e := w.await("acme", id); e.State != schemas.Completed {
			t.Fatalf("%s is %s: %+v %s", id, e.State, e.Failure, e.Reason)
		}
	}
	all := w.await("acme", "all")
	failed := func(id string, parts ...schemas.Receipt) {
		x := all
		x.ExportID, x.State, x.Completion, x.Parts = id, schemas.Failed, nil, parts
		check(t, w.ledger.SaveExports(t.Context(), []schemas.Export{x}))
		for _, r := range parts {
			check(t, w.ledger.InsertStatus(t.Context(), schemas.Batch[*schemas.ExportStatus]{Records: []schemas.Record[*schemas.ExportStatus]{{Partition: 99, Event: &schemas.ExportStatus{
				TenantID: "acme", ExportID: id, EventID: schemas.PartEventID(r.Number), State: schemas.Running, Part: &r,
			}}}}))
		}
	}
	failed("failed-without-parts")
	failed("failed-at-another-part", schemas.Receipt{Part: schemas.Part{Number: 1, First: all.Parts[0].First, Last: all.Parts[0].First}})
	w.publish(email, w.request("acme", "later")) // the others hold the version before
	w.await("acme", "later")
	want = append(want, "later")
	slices.Sort(want)

	downloaded := schemas.TimeOf(time.Now())
	w.publish(&schemas.AuditRecord{
		AuditID: "acme/all/download", Time: downloaded, TenantID: "acme", Actor: "dora", Action: "export.download", Subject: "all", Outcome: schemas.OutcomeDone,
	})
	w.awaitAudit("acme", "export.download")
	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-2", InteractionID: email.InteractionID, DeleteArtifacts: true})
	e := w.awaitErasure("acme", "case-2")
	var named []string
	for _, x := range e.Exports {
		named = append(named, x.ExportID)
		name := schemas.PartName(schemas.EntityInteraction, x.ExportID, schemas.Part{Number: 1})
		if x.Rows != 1 || !x.Deleted || !slices.Equal(x.Parts, []string{name}) || len(x.Recipients) != 1 || x.Recipients[0].Fingerprint == "" {
			t.Errorf("it says %+v", x)
		}
		if got, want := len(x.Downloads) == 1 && x.Downloads[0] == (schemas.Download{By: "dora", Times: 1, First: downloaded, Last: downloaded}), x.ExportID == "all"; got != want {
			t.Errorf("of %s the downloads are %+v", x.ExportID, x.Downloads)
		}
	}
	if slices.Sort(named); !slices.Equal(named, want) || e.Rows != 2 {
		t.Errorf("%d versions are erased; named are %v, want %v", e.Rows, named, want)
	}
	for _, id := range want {
		w.awaitThat("acme", id, func(e schemas.Export) bool { return e.State == schemas.Deleted })
		if left := w.artifactsIn("acme", id); len(left) != 0 {
			t.Errorf("%v are left", left)
		}
	}
	for id := range asked {
		if e := w.await("acme", id); !slices.Contains(want, id) && (e.State != schemas.Completed || len(w.artifactsIn("acme", id)) == 0) {
			t.Errorf("%s, which never held it, is %s", id, e.State)
		}
	}
}

// unheld knows no holds.
type unheld struct{}

func (unheld) Held(context.Context, string) (schemas.Holds, error) { return nil, nil }
func (unheld) Changed() <-chan struct{}                            { return nil }

// dying is a warehouse of a process that dies once its rows are removed.
type dying struct{ *warehouse.Warehouse }

var errDied = errors.New("the process died")

func (d dying) Erase(ctx context.Context, e schemas.Erasure) error {
	return errors.Join(d.Warehouse.Erase(ctx, e), errDied)
}

func TestAnErasureThatDiedAfterItsRowsWereGoneStillNamesTheExportsThatHoldThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 10)
	w.publish(w.request("acme", "holding"))
	w.await("acme", "holding")
	handler := func(rows erasure.Rows) *erasure.Handler {
		return erasure.New(erasure.Options{
			Log: w.offsets(), Rows: rows, Decisions: pipeline.Erasures{Store: w.bucket}, History: w.ledger, Publisher: w.publisher, Holds: unheld{}, Objects: w.bucket, Name: "test", Logger: slog.New(slog.DiscardHandler),
		})
	}
	r := &schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", InteractionID: "i-000003"}
	batch := schemas.Batch[*schemas.ErasureRequest]{Records: []schemas.Record[*schemas.ErasureRequest]{{Event: r}}}
	if err := handler(dying{w.warehouse}).Handle(t.Context(), batch); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	check(t, handler(w.warehouse).Handle(t.Context(), batch))
	e := w.awaitErasure("acme", "case-1")
	if e.State != schemas.ErasureDone || e.Rows != 1 || len(e.Exports) != 1 || e.Exports[0].ExportID != "holding" || e.Exports[0].Rows != 1 {
		t.Errorf("it says %+v", e)
	}
}

func TestAnErasureOfNothingIsNotDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.run("ingest", "export", "history", "erasure")
	w.publish(of("eve", 1))
	const forgotten = "what ClickHouse does not know any more"
	for _, c := range []struct {
		name  string
		args  []string
		code  int
		state string
		said  string
	}{
		{"a typing error", []string{"--tenant", "acme", "--contact", "Eve", "--id", "typo"}, 6, schemas.ErasureNothingFound, `there is "eve"`},
		{"blanks", []string{"--tenant", "acme", "--contact", " e ve\u00a0", "--id", "blanks"}, 6, schemas.ErasureNothingFound, `letter case and blanks count; there is "eve"`},
		{"an unknown tenant", []string{"--tenant", "nosuch", "--contact", "eve", "--id", "nosuch"}, 3, schemas.ErasureRefused, "tenant nosuch is unknown"},
		{"the right one", []string{"--tenant", "acme", "--contact", "eve", "--id", "right"}, 0, schemas.ErasureDone, "1 version removed"},
		{"the same again", []string{"--tenant", "acme", "--contact", "eve", "--id", "right-again"}, 6, schemas.ErasureNothingFound, "erasure right-again found nothing"},
		{"what was typed wrong, as it stands", []string{"--tenant", "acme", "--contact", "Eve", "--id", "typo"}, 6, schemas.ErasureNothingFound, "nothing is stored of contact Eve"},
		{forgotten, []string{"--tenant", "acme", "--contact", "Eve", "--id", "typo"}, 6, schemas.ErasureNothingFound, "nothing is stored of contact Eve"},
	} {
		if c.name == forgotten {
			w.exec("TRUNCATE TABLE erasures")
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var out bytes.Buffer
		done := make(chan int, 1)
		go func() {
			done <- cli.Main(append([]string{"--data-dir", dir, "erase", "--wait"}, c.args...), strings.NewReader(""), &out, &out)
		}()
		select {
		case code := <-done:
			if code != c.code || !strings.Contains(out.String(), c.said) {
				t.Errorf("%s ends with code %d, want %d with %q: %s", c.name, code, c.code, c.said, out.String())
			}
		case <-ctx.Done():
			t.Fatalf("%s does not end", c.name)
		}
		cancel()
		e, known, err := w.ledger.Erasure(t.Context(), c.args[1], c.args[5])
		if err != nil || !known || e.State != c.state || e.DoneAt.IsZero() || e.Exports == nil {
			t.Errorf("%s is %+v, %v", c.name, e, err)
		}
	}
	w.awaitOutcome("acme", "erasure.complete", schemas.OutcomeFailed)
	w.awaitOutcome("nosuch", "erasure.create", schemas.OutcomeRefused)
	if n := w.count("SELECT count() FROM erased_subjects WHERE id = 'Eve'"); n != 0 {
		t.Errorf("%d subjects are remembered that nothing was found of", n)
	}
}

// TestAnErasureWaitsForAnExportThatHistoryDoesNotKnowYet stops history while an export is
// made.
func TestAnErasureWaitsForAnExportThatHistoryDoesNotKnowYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("history")
	w.run("ingest", "export", "erasure")
	w.load("acme", 0, 10)
	w.publish(w.request("acme", "known"))
	w.await("acme", "known")
	stop()
	w.publish(w.request("acme", "unknown"))
	for deadline := time.Now().Add(patience); len(w.artifactsIn("acme", "unknown")) < 3; {
		if time.Now().After(deadline) {
			t.Fatal("the export does not end")
		}
	}
	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", InteractionID: "i-000003"})
	for deadline := time.Now().Add(patience); ; {
		e, _, err := w.ledger.Erasure(t.Context(), "acme", "case-1")
		check(t, err)
		if strings.Contains(e.Waiting, "waiting for history") {
			break
		}
		if e.Ended() || time.Now().After(deadline) {
			t.Fatalf("it does not wait for history: %+v", e)
		}
	}
	w.run("history")
	if e := w.awaitErasure("acme", "case-1"); len(e.Exports) != 2 {
		t.Errorf("it says %+v", e)
	}
}
