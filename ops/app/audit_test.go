package app_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// awaitAudit returns the audit trail of a tenant once it has all the actions.
func (w *world) awaitAudit(tenant string, actions ...string) []schemas.AuditRecord {
	w.t.Helper()
	return w.awaitRecords(tenant, actions, func(schemas.AuditRecord) bool { return true })
}

// awaitOutcome waits until the audit trail of a tenant has an action with an outcome.
func (w *world) awaitOutcome(tenant, action, outcome string) {
	w.t.Helper()
	w.awaitRecords(tenant, []string{action}, func(a schemas.AuditRecord) bool { return a.Outcome == outcome })
}

func (w *world) awaitRecords(tenant string, actions []string, that func(schemas.AuditRecord) bool) []schemas.AuditRecord {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		all, err := w.ledger.Audit(ctx, tenant, "", 100)
		missing := slices.DeleteFunc(slices.Clone(actions), func(action string) bool {
			return slices.ContainsFunc(all, func(a schemas.AuditRecord) bool { return a.Action == action && that(a) })
		})
		if err == nil && len(missing) == 0 {
			return all
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			w.t.Fatalf("the audit trail has no %v: %+v, %v", missing, all, err)
		}
	}
}

func TestTheAuditTrailSaysWhoAskedForWhatAndWhatCameOfItOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 5)
	made, refused := w.request("acme", "made"), w.request("acme", "odd")
	made.RequestedBy, refused.RequestedBy, refused.Recipients = "ada", "bob", nil
	w.publish(made, refused)
	w.await("acme", "made")
	w.await("acme", "odd")
	_, err := w.keeper(31 * 24 * time.Hour).Expire(t.Context())
	check(t, err)
	cancel := &schemas.ExportRequest{Action: schemas.ActionCancel, TenantID: "acme", ExportID: "made", RequestedBy: "carol"}
	w.publish(cancel, made) // all again, too late: the same facts
	w.publish(w.request("acme", "last"))
	w.await("acme", "last")

	all := w.awaitAudit("acme", "export.expire", "export.cancel")
	got := map[string]schemas.AuditRecord{}
	for _, a := range all {
		if a.Subject == "made" || a.Subject == "odd" {
			if _, twice := got[a.Subject+" "+a.Action]; twice {
				t.Errorf("%s %s is there twice", a.Subject, a.Action)
			}
			got[a.Subject+" "+a.Action] = a
		}
	}
	for action, want := range map[string]struct{ actor, outcome string }{
		"made export.create":   {"ada", schemas.OutcomeDone},
		"made export.complete": {"test", schemas.OutcomeDone},
		"made export.cancel":   {"carol", schemas.OutcomeDone},
		"made export.expire":   {"test", schemas.OutcomeDone},
		"odd export.create":    {"bob", schemas.OutcomeRefused},
	} {
		if a, ok := got[action]; !ok || a.Actor != want.actor || a.Outcome != want.outcome || a.From == "" || a.Time.IsZero() {
			t.Errorf("%s: %+v, want %+v", action, a, want)
		}
	}
}

// TestAnActIsOneRecordWithWhereItWasRequestedFrom requests before any worker runs, so that
// the process that requests and the worker both record it.
func TestAnActIsOneRecordWithWhereItWasRequestedFrom(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"history", "web"})
	acme := s.as("administrator", "acme")
	fingerprint := s.receiver(acme)
	acme.must(202, "POST", "/exports", exportBody(fingerprint, "unwanted"))
	acme.must(202, "POST", "/exports/unwanted/cancel", nil)
	acme.must(202, "POST", "/erasures", map[string]any{"erasure_id": "case", "contact_id": "eve"})
	direct := s.request("acme", "direct") // by a program that has no role here
	direct.RequestedBy, direct.RequestedFrom = "ada", "198.51.100.7"
	s.publish(of("eve", 1), direct)
	s.run("ingest", "export", "erasure")
	s.await("acme", "unwanted")
	s.await("acme", "direct")
	s.awaitErasure("acme", "case")
	all := s.awaitAudit("acme", "export.stop", "erasure.complete", "export.complete")

	got := map[string][]schemas.AuditRecord{}
	for _, a := range all {
		key := a.Subject + " " + a.Action
		got[key] = append(got[key], a)
	}
	program := "administrator of acme (token/"
	for key, want := range map[string]struct{ actor, from string }{
		"unwanted export.create": {program, "127.0.0.1"},
		"unwanted export.cancel": {program, "127.0.0.1"},
		"unwanted export.stop":   {"test", "test"},
		"case erasure.create":    {program, "127.0.0.1"},
		"case erasure.complete":  {"administrator of acme", "127.0.0.1"},
		"direct export.create":   {"ada", "198.51.100.7"},
		"direct export.complete": {"test", "test"},
	} {
		if records := got[key]; len(records) != 1 || !strings.HasPrefix(records[0].Actor, want.actor) || records[0].From != want.from {
			t.Errorf("%s: %+v, want one of %s from %s", key, records, want.actor, want.from)
		}
	}
	named := map[string]bool{}
	for _, a := range schemas.AuditActions() {
		named[a.Name] = true
	}
	for _, a := range all {
		if !named[a.Action] {
			t.Errorf("the action %s is not one of the list", a.Action)
		}
	}
}

func TestTheAuditTrailIsFetchedWholeAsJSONLinesAndCSV(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"}) // nobody else writes what the trail of acme holds
	viewer, alien := s.as("viewer", "acme"), s.as("viewer", "globex")
	const all = 1_100 // three pages
	b, began := schemas.Batch[*schemas.AuditRecord]{}, time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for n := range all {
		b.Records = append(b.Records, schemas.Record[*schemas.AuditRecord]{Offset: int64(n), Event: &schemas.AuditRecord{
			AuditID: fmt.Sprintf("acme/%d", n), Time: schemas.TimeOf(began.Add(time.Duration(n/7) * time.Second)), TenantID: "acme", Actor: "=HYPERLINK(1)",
			From: "198.51.100.7", Action: []string{"export.create", "job.run"}[n%2], Subject: "e", Outcome: schemas.OutcomeDone, Detail: "two\nlines, and \"quotes\"",
		}})
	}
	check(t, s.ledger.InsertAudit(t.Context(), b))

	lines := strings.Split(strings.TrimSuffix(string(viewer.must(200, "GET", "/audit/export", nil)), "\n"), "\n")
	ids, last := map[string]bool{}, schemas.Time{}
	for _, line := range lines {
		a, err := schemas.DecodeAuditRecord([]byte(line))
		check(t, err)
		if a.Time.Before(last.Time) || a.Detail != "two\nlines, and \"quotes\"" {
			t.Fatalf("after %s comes %+v", last, a)
		}
		ids[a.AuditID], last = true, a.Time
	}
	if len(lines) != all || len(ids) != all {
		t.Errorf("%d lines have %d records, want %d", len(lines), len(ids), all)
	}

	status, header, file := viewer.send("GET", "/audit/export?format=csv&action=job&to=2026-11-01T12:01:00Z", nil)
	rows, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	check(t, err)
	if status != 200 || len(rows) != 1+210 || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || header.Get("Content-Disposition") != `attachment; filename="audit.csv"` {
		t.Errorf("%d %v: %d rows", status, header, len(rows))
	}
	if want := []string{"2026-11-01T12:00:00.000Z", "acme", "'=HYPERLINK(1)", "198.51.100.7", "job.run", "e", "done", `two lines, and "quotes"`, "acme/1"}; !slices.Equal(rows[1], want) {
		t.Errorf("the first row is %q, want %q", rows[1], want)
	}
	if file := alien.must(200, "GET", "/audit/export", nil); len(file) != 0 {
		t.Errorf("another tenant's viewer reads %.200s", file)
	}
	viewer.must(422, "GET", "/audit/export?format=xml", nil)
}
