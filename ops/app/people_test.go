package app_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/ops/cli"
	"cdds/schemas"
)

// TestAnExportOfSomePeopleHoldsWhatIsTheirsAndIsForThePrivacyRole asks for two of four
// contacts, of which one is another's id in upper case.
func TestAnExportOfSomePeopleHoldsWhatIsTheirsAndIsForThePrivacyRole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	acme, privacy, viewer := s.as("administrator", "acme"), s.as("privacy", "acme"), s.as("viewer", "acme")
	hostile := `o'neil", \ {x:String}) OR 1=1 --`
	for n, contact := range []string{"eve", "EVE", hostile, "ada", "", "eve"} {
		i := of(contact, n)
		s.publish(i)
		if contact != "" {
			s.publish(&schemas.Contact{ContactID: contact, TenantID: "acme", CreatedAt: interaction("acme", 0).StartedAt})
		}
	}
	moved := of("eve", 5) // its newest version is of somebody else
	moved.ContactID = "ada"
	s.publish(moved)
	s.eventually(func() bool {
		return s.count("SELECT uniqExact(source_partition, source_offset) FROM interactions") == 7 && s.count("SELECT uniqExact(source_partition, source_offset) FROM contacts") == 5
	})
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	var c schemas.Certificate
	acme.into(&c, 201, "POST", "/certificates?name=receiver", pem)

	ask := func(id, entity string) map[string]any {
		b := exportBody(c.Fingerprint, id)
		b["entity"], b["contacts"], b["reason"] = entity, []string{"eve", hostile}, "access request 4711"
		return b
	}
	for id, entity := range map[string]string{"theirs": schemas.EntityInteraction, "they": schemas.EntityContact} {
		viewer.must(403, "POST", "/exports", ask(id, entity))
		privacy.must(202, "POST", "/exports", ask(id, entity))
		e := s.await("acme", id)
		lines := strings.Join(s.open(e), "")
		if e.State != schemas.Completed || e.Done.Rows != 2 || strings.Contains(lines, "EVE") || strings.Contains(lines, "ada") || !strings.Contains(lines, `"eve"`) || !strings.Contains(lines, "neil") {
			t.Errorf("%s is %s with %d rows: %s", id, e.State, e.Done.Rows, lines)
		}
		if !slices.Equal(e.Request.Contacts, []string{"eve", hostile}) {
			t.Errorf("history says it is of %q", e.Request.Contacts)
		}
	}
	said := s.awaitAudit("acme", "export.create")
	if !slices.ContainsFunc(said, func(a schemas.AuditRecord) bool {
		return a.Action == "export.create" && a.Outcome == schemas.OutcomeDone && strings.Contains(a.Detail, "of 2 contacts: access request 4711") && !strings.Contains(a.Detail, "eve")
	}) {
		t.Errorf("the audit trail says %+v", said)
	}

	privacy.must(403, "POST", "/exports", exportBody(c.Fingerprint, "all"))
	for said, contacts := range map[string][]string{
		`nothing is stored of 1 of the 2 contacts, such as \"Eve \"; upper and lower case and blanks count; did you mean \"EVE\"?`: {"ada", "Eve "},
		`contacts[2]: \"eve\" is contacts[0] already; name each contact once`:                                                      {"eve", "ada", "eve"},
		`contacts[0]`: {strings.Repeat("x", 257)},
	} {
		wrong := ask("wrong", schemas.EntityInteraction)
		wrong["contacts"] = contacts
		if answer := privacy.must(422, "POST", "/exports", wrong); !strings.Contains(string(answer), said) {
			t.Errorf("the answer to %q is %s, want %s", contacts, answer, said)
		}
	}
	silent := ask("silent", schemas.EntityInteraction)
	silent["reason"] = " "
	privacy.must(422, "POST", "/exports", silent)
	crowd := ask("crowd", schemas.EntityInteraction)
	ids := make([]string, schemas.MaxContacts+1)
	for n := range ids {
		ids[n] = fmt.Sprint("c-", n)
	}
	crowd["contacts"] = ids
	privacy.must(422, "POST", "/exports", crowd)

	privacy.must(202, "POST", "/erasures", map[string]any{"erasure_id": "case", "contact_id": "eve"})
	e := s.awaitErasure("acme", "case")
	named := []string{}
	for _, x := range e.Exports {
		named = append(named, x.ExportID)
	}
	if !slices.Equal(named, []string{"theirs", "they"}) {
		t.Errorf("the exports that hold it are %v", named)
	}
}

func TestTheContactsOfAnExportComeFromAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.run("ingest", "export", "history")
	w.publish(of("eve", 1), of(" ada", 2), of("bob", 3))
	w.eventually(func() bool {
		return w.count("SELECT uniqExact(source_partition, source_offset) FROM interactions") == 3
	})
	file := filepath.Join(t.TempDir(), "contacts.txt")
	for _, c := range []struct {
		name, content string
		args          []string
		code, rows    int
	}{
		{"two", "\ufeffeve\r\n\n ada", []string{"--reason", "case 1"}, 0, 2},
		{"one-more", "eve\n", []string{"--reason", "case 1", "--contact", "bob"}, 0, 2},
		{"nobody", "nobody\n", []string{"--reason", "case 1"}, 3, -1},
		{"twice", "eve\nbob\neve\n", []string{"--reason", "case 1"}, 3, -1},
		{"empty", "\n\n", []string{"--reason", "case 1"}, 2, -1},
		{"no-reason", "eve\n", nil, 3, -1},
	} {
		check(t, os.WriteFile(file, []byte(c.content), 0o600))
		var out bytes.Buffer
		args := append([]string{
			"--data-dir", dir, "export", "create", "--tenant", "acme", "--from", "2020-01-01", "--to", "2030-01-01", "--recipient", w.cert,
			"--id", c.name, "--contacts-file", file, "--wait",
		}, c.args...)
		if code := cli.Main(args, strings.NewReader(""), &out, &out); code != c.code {
			t.Errorf("%s ends with code %d, want %d: %s", c.name, code, c.code, out.String())
		}
		if e, _, err := w.ledger.Export(t.Context(), "acme", c.name); err != nil || c.rows >= 0 && (e.State != schemas.Completed || e.Done.Rows != int64(c.rows)) {
			t.Errorf("%s is %s with %d rows, want %d, %v", c.name, e.State, e.Done.Rows, c.rows, err)
		}
	}
}

// TestAnExportOfAsManyPeopleAsThereMayBeIsKnownToHistory has ids that grow most where they are
// quoted.
func TestAnExportOfAsManyPeopleAsThereMayBeIsKnownToHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	r := w.request("acme", "crowd")
	r.Reason = "case 1"
	for n := range schemas.MaxContacts {
		r.Contacts = append(r.Contacts, fmt.Sprintf("%s%04d", strings.Repeat(`"`, 48), n))
	}
	check(t, r.Validate())
	w.publish(of(r.Contacts[0], 1), of("eve", 2), r)
	e := w.await("acme", "crowd")
	if e.State != schemas.Completed || e.Done.Rows != 1 || e.Request == nil || len(e.Request.Contacts) != schemas.MaxContacts {
		t.Errorf("it is %s with %d rows, request %t: %+v, %s", e.State, e.Done.Rows, e.Request != nil, e.Failure, e.Reason)
	}
}
