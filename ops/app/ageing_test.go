package app_test

import (
	"testing"
	"time"

	"cdds/ops/retention"
	"cdds/schemas"
)

// TestHistoryAgesOutAsThePolicySaysAndManifestsSayWhatIsLeftOut keeps a year of one tenant
// and everything of another.
func TestHistoryAgesOutAsThePolicySaysAndManifestsSayWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	w.now = func() time.Time { return now }
	const year = 365 * 24 * time.Hour
	w.config.History.KeepInteractionsByTenant = map[string]time.Duration{"acme": year}
	w.config.History.AgeEvery = 50 * time.Millisecond
	old, young := schemas.TimeOf(now.Add(-year-48*time.Hour)), schemas.TimeOf(now.Add(-year+time.Hour))
	due := schemas.TimeOf(now.Add(-year - time.Hour)) // past the policy, within the grace
	for n := range 60 {
		for _, tenant := range []string{"acme", "globex"} {
			e := interaction(tenant, n)
			e.StartedAt = []schemas.Time{old, young, due}[n%3]
			w.publish(e)
		}
	}
	stop := w.run("ingest", "export", "history")
	w.publish(w.request("acme", "before"))
	e := w.await("acme", "before")
	if e.State != schemas.Completed || e.Done.Rows != 20 {
		t.Errorf("before anything is removed it is %s with %d rows, want the 20 that are kept: %+v", e.State, e.Done.Rows, e.Failure)
	}
	if m := w.manifest(e); m.HistoryFrom == nil || !m.HistoryFrom.Equal(now.Add(-year)) {
		t.Errorf("the manifest says that rows are kept from %v", m.HistoryFrom)
	}

	w.run("retention")
	for deadline := time.Now().Add(patience); w.count("SELECT count() FROM interactions") != 100 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
	}
	if n := w.count("SELECT count() FROM interactions WHERE tenant_id = 'globex'"); n != 60 {
		t.Errorf("%d rows of the tenant that keeps all are left, want 60", n)
	}
	aged := int64(0)
	for _, p := range w.account(schemas.TopicInteractions) {
		aged += p.AgedOut
		if p.Missing != 0 {
			t.Errorf("the account is %+v", p)
		}
	}
	if aged != 20 {
		t.Errorf("%d rows are accounted for as aged out, want 20", aged)
	}
	w.publish(w.request("acme", "after"), w.request("globex", "all"))
	if e = w.await("acme", "after"); e.State != schemas.Completed || e.Done.Rows != 20 || w.manifest(e).HistoryFrom == nil {
		t.Errorf("after it is %s with %d rows, want 20: %+v", e.State, e.Done.Rows, e.Failure)
	}
	if e = w.await("globex", "all"); e.State != schemas.Completed || e.Done.Rows != 60 || w.manifest(e).HistoryFrom != nil {
		t.Errorf("of the tenant that keeps all it is %s with %d rows, want 60: %+v", e.State, e.Done.Rows, e.Failure)
	}

	// A policy that is lengthened does not bring back what is gone, and manifests go on to say so.
	stop()
	w.config.History.KeepInteractionsByTenant = nil
	w.run("ingest", "export", "history")
	w.publish(w.request("acme", "longer"))
	e = w.await("acme", "longer")
	if want := now.Add(-year - retention.AgeingGrace); e.State != schemas.Completed || e.Done.Rows != 40 || w.manifest(e).HistoryFrom == nil || !w.manifest(e).HistoryFrom.Equal(want) {
		t.Errorf("without a policy it is %s with %d rows, want 40, kept from %s: %v, %+v", e.State, e.Done.Rows, want, w.manifest(e).HistoryFrom, e.Failure)
	}
}
