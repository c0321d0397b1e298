package app_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdds/consumers/erasure"
	"cdds/ops/cli"
	"cdds/pipeline"
	"cdds/schemas"
)

// TestAFileOfContactsIsErasedWithOneReport erases lists from files: what is wrong with one
// shows before anything is removed.
func TestAFileOfContactsIsErasedWithOneReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.run("ingest", "export", "history", "erasure")
	w.publish(of("eve", 1), of("eve", 2), of(" ada", 3), of("bob", 4), of("cy", 5), of("dee", 6), w.request("acme", "holding"))
	w.await("acme", "holding")
	contacts, interactions := filepath.Join(t.TempDir(), "contacts.txt"), filepath.Join(t.TempDir(), "interactions.txt")
	many := strings.Builder{}
	for n := range schemas.MaxSubjects + 1 {
		fmt.Fprintf(&many, "c-%d\n", n)
	}
	for _, c := range []struct {
		id, contacts, interactions string
		args                       []string
		code                       int
		said                       string
		left                       uint64
	}{
		{"twice", "eve\nbob\neve\n", "", nil, 2, `contacts[2]: "eve" is contacts[0] already; name each contact once`, 6},
		{"hostile", "eve\nb\u0007ob\n", "", nil, 2, "contacts[1]: contains a control character", 6},
		{"long", "eve\n" + strings.Repeat("x", 257), "", nil, 2, "contacts[1]: has 257 bytes", 6},
		{"crowd", many.String(), "", nil, 2, "there are 10001 contacts and interactions; the limit is 10000", 6},
		{"empty", "\n", "", nil, 2, "lists no id", 6},
		{"unknown", "eve\nBob\n", "", nil, 6, `nothing is stored of 1 of 2 subjects for tenant acme, such as contact "Bob"; nothing was removed`, 6},
		{"all-unknown", "Eve\nBob\n", "", []string{"--skip-unknown"}, 6, "nothing is stored of 2 of 2 subjects", 6},
		{"two", "\ufeffeve\r\n\n ada", "", nil, 0, "3 versions removed; exports with artifacts that hold some: 1", 3},
		{"skipping", "eve\nBob\n", "i-000004", []string{"--skip-unknown"}, 0, "1 version removed", 2},
		{"again", "Bob\neve\n", "i-000004", []string{"--skip-unknown"}, 6, "nothing is stored of 3 of 3 subjects", 2},
	} {
		check(t, os.WriteFile(contacts, []byte(c.contacts), 0o600))
		check(t, os.WriteFile(interactions, []byte(c.interactions), 0o600))
		args := []string{"--data-dir", dir, "erase", "--tenant", "acme", "--wait", "--id", c.id, "--contacts-file", contacts}
		if c.interactions != "" {
			args = append(args, "--interactions-file", interactions)
		}
		var out bytes.Buffer
		if code := cli.Main(append(args, c.args...), strings.NewReader(""), &out, &out); code != c.code || !strings.Contains(out.String(), c.said) {
			t.Errorf("%s ends with code %d, want %d with %q: %s", c.id, code, c.code, c.said, out.String())
		}
		if n := w.count("SELECT count() FROM interactions"); n != c.left {
			t.Errorf("after %s %d versions are stored, want %d", c.id, n, c.left)
		}
	}
	said := func(id string, want ...schemas.SubjectOutcome) {
		t.Helper()
		e, _, err := w.ledger.Erasure(t.Context(), "acme", id)
		if err != nil || fmt.Sprint(e.Subjects) != fmt.Sprint(want) {
			t.Errorf("%s says %+v, want %+v, %v", id, e.Subjects, want, err)
		}
	}
	outcome := func(kind, id, outcome string, rows int64, similar ...string) schemas.SubjectOutcome {
		return schemas.SubjectOutcome{Subject: schemas.Subject{Kind: kind, ID: id}, Outcome: outcome, Rows: rows, Similar: similar}
	}
	said("unknown", outcome("contact", "eve", schemas.SubjectFound, 2), outcome("contact", "Bob", schemas.ErasureNothingFound, 0, "bob"))
	said("two", outcome("contact", "eve", schemas.ErasureDone, 2), outcome("contact", " ada", schemas.ErasureDone, 1))
	said("skipping", outcome("contact", "eve", schemas.ErasureNothingFound, 0), outcome("contact", "Bob", schemas.ErasureNothingFound, 0, "bob"), outcome("interaction", "i-000004", schemas.ErasureDone, 1))

	w.awaitOutcome("acme", "erasure.complete", schemas.OutcomeDone)
	w.awaitOutcome("acme", "erasure.complete", schemas.OutcomeFailed)
}

// TestAListOfWhichKafkaKnowsAPartIsErasedAsAWhole loses ClickHouse while the list is being
// published as erased.
func TestAListOfWhichKafkaKnowsAPartIsErasedAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.publish(of("eve", 1), of("ada", 2), of("bob", 3), w.request("acme", "all"))
	w.await("acme", "all")
	r := &schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", Contacts: []string{"eve", "ada"}}
	part := &schemas.ErasedSubject{
		Request: r.WithoutLists(), Kind: schemas.ErasedContact, SubjectID: "eve", Interactions: schemas.Snapshot{}, Contacts: schemas.Snapshot{}, ErasedAt: schemas.TimeOf(time.Now()),
	}
	check(t, part.Validate())
	restored := schemas.Erasure{Request: part.Request, State: schemas.ErasureDone, AcceptedAt: part.ErasedAt, DoneAt: part.ErasedAt, Exports: []schemas.AffectedExport{}}
	check(t, w.ledger.SaveErasure(t.Context(), restored))
	h := erasure.New(erasure.Options{
		Log: w.offsets(), Rows: w.warehouse, Decisions: pipeline.Erasures{Store: w.bucket}, History: w.ledger, Publisher: w.publisher, Holds: unheld{}, Objects: w.bucket, Name: "test", Logger: slog.New(slog.DiscardHandler),
	})
	check(t, h.Handle(t.Context(), schemas.Batch[*schemas.ErasureRequest]{Records: []schemas.Record[*schemas.ErasureRequest]{{Event: r}}}))
	if e := w.awaitErasure("acme", "case-1"); e.Rows != 2 || len(e.Subjects) != 2 || w.count("SELECT count() FROM interactions") != 1 {
		t.Errorf("it is %+v", e)
	}
}
