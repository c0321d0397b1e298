package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"cdds/schemas"
)

// awaitAudit returns the audit trail of a tenant once it has all the actions.
func (w *world) awaitAudit(tenant string, actions ...string) []schemas.AuditRecord {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		all, err := w.ledger.Audit(ctx, tenant, "", 100)
		missing := slices.DeleteFunc(slices.Clone(actions), func(action string) bool {
			return slices.ContainsFunc(all, func(a schemas.AuditRecord) bool { return a.Action == action })
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

	all := w.awaitAudit("acme", "export.expired", "export.cancel")
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
		"made export.requested": {"ada", schemas.OutcomeDone},
		"made export.completed": {"test", schemas.OutcomeDone},
		"made export.cancel":    {"carol", schemas.OutcomeDone},
		"made export.expired":   {"test", schemas.OutcomeDone},
		"odd export.refused":    {"bob", schemas.OutcomeRefused},
	} {
		if a, ok := got[action]; !ok || a.Actor != want.actor || a.Outcome != want.outcome || a.From == "" || a.Time.IsZero() {
			t.Errorf("%s: %+v, want %+v", action, a, want)
		}
	}
}
