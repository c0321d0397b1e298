package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cdds/ops/config"
	"cdds/schemas"
)

// awaitErasureAs returns an erasure once it is in a state.
func (w *world) awaitErasureAs(id, state string) schemas.Erasure {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		e, _, err := w.ledger.Erasure(ctx, "acme", id)
		if err == nil && e.State == state {
			return e
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			w.t.Fatalf("erasure %s is not %s: %+v, %v", id, state, e, err)
		}
	}
}

// TestAHoldKeepsErasuresAndDeletionsAwayUntilTwoPeopleReleaseIt has two processes of each role.
func TestAHoldKeepsErasuresAndDeletionsAwayUntilTwoPeopleReleaseIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *config.Config) { c.Hold.TwoPeople = true })
	s.run("erasure", "export", "history")
	privacy, admin, viewer := s.as("privacy", "acme"), s.as("administrator", "acme"), s.as("viewer", "acme")
	s.publish(of("eve", 1), of("ada", 2), of("bob", 3), of("cy", 4), s.request("acme", "files"))
	s.await("acme", "files")

	for _, wrong := range []map[string]any{
		{"name": "nothing", "reason": "r"},
		{"name": " ", "reason": "r", "contacts": []string{"eve"}},
		{"name": "twice", "reason": "r", "contacts": []string{"eve", "eve"}},
		{"name": "half a range", "reason": "r", "from": "2025-01-01T00:00:00Z"},
		{"name": "backwards", "reason": "r", "from": "2025-01-02T00:00:00Z", "to": "2025-01-01T00:00:00Z"},
	} {
		privacy.must(422, "POST", "/holds", wrong)
	}
	hold := func(id string, what map[string]any) {
		t.Helper()
		what["hold_id"], what["name"], what["reason"] = id, "Smith v. Acme", "counsel asked"
		viewer.must(403, "POST", "/holds", what)
		privacy.must(201, "POST", "/holds", what)
		privacy.must(409, "POST", "/holds", what)
	}
	hold("person", map[string]any{"contacts": []string{"eve", "gone"}})
	hold("call", map[string]any{"interactions": []string{"i-000002"}})
	hold("days", map[string]any{"from": of("", 3).StartedAt, "to": schemas.TimeOf(of("", 3).StartedAt.Add(time.Millisecond))})
	hold("file", map[string]any{"exports": []string{"files"}})

	erase := func(id string, what map[string]any) {
		what["erasure_id"] = id
		privacy.must(202, "POST", "/erasures", what)
	}
	waiting := map[string]string{"of-eve": "person", "of-1": "person", "of-ada": "call", "of-bob": "days", "of-cy": "file"}
	erase("of-eve", map[string]any{"contacts": []string{"eve", "ada"}})
	erase("of-1", map[string]any{"interaction_id": "i-000001"})
	erase("of-ada", map[string]any{"contact_id": "ada"})
	erase("of-bob", map[string]any{"contact_id": "bob"})
	erase("of-cy", map[string]any{"contact_id": "cy", "delete_artifacts": true})
	erase("gone", map[string]any{"contact_id": "gone"})
	for id, by := range waiting {
		if e := s.awaitErasureAs(id, schemas.ErasureHeld); e.HoldID != by && id != "of-eve" || !strings.Contains(e.Waiting, "Smith v. Acme") {
			t.Errorf("%s waits for %q: %s", id, e.HoldID, e.Waiting)
		}
	}
	s.awaitErasureAs("gone", schemas.ErasureNothingFound)
	admin.must(409, "DELETE", "/exports/files", nil)
	s.publish(&schemas.ExportRequest{Action: schemas.ActionDelete, TenantID: "acme", ExportID: "files", RequestedAt: schemas.TimeOf(time.Now())})
	s.eventually(func() bool { // the worker refuses what does not come through the API
		return s.count("SELECT count() FROM audit WHERE subject = 'files' AND outcome = 'refused' AND detail LIKE '%the hold file (Smith v. Acme) keeps its files%'") == 1
	})
	if n := s.count("SELECT count() FROM interactions"); n != 4 || len(s.artifactsIn("acme", "files")) == 0 {
		t.Errorf("%d interactions and %v are left under holds", n, s.artifactsIn("acme", "files"))
	}

	viewer.must(403, "POST", "/holds/person/release", nil)
	privacy.must(404, "POST", "/holds/nosuch/release", nil)
	for _, id := range []string{"person", "call", "days", "file"} {
		privacy.must(200, "POST", "/holds/"+id+"/release", nil)
		if answer := privacy.must(409, "POST", "/holds/"+id+"/release", nil); !strings.Contains(string(answer), "a second person must release the hold") {
			t.Errorf("the same person gets %s", answer)
		}
		var h schemas.Hold
		if id == "person" { // whoever may release it may keep it, until it is released
			viewer.must(403, "POST", "/holds/person/withdraw", nil)
			admin.into(&h, 200, "POST", "/holds/person/withdraw", nil)
			privacy.into(&h, 200, "POST", "/holds/person/release", nil)
		}
		viewer.into(&h, 200, "GET", "/holds/"+id, nil)
		if !h.Active() || h.ReleaseRequestedBy == "" {
			t.Errorf("after one person %s is %+v", id, h)
		}
		admin.into(&h, 200, "POST", "/holds/"+id+"/release", nil)
		if h.Active() || h.ReleasedBy == h.ReleaseRequestedBy {
			t.Errorf("after two people %s is %+v", id, h)
		}
		admin.must(409, "POST", "/holds/"+id+"/release", nil)
		admin.must(409, "POST", "/holds/"+id+"/withdraw", nil)
	}
	for id := range waiting {
		want := schemas.ErasureDone
		if id == "of-1" || id == "of-ada" { // of-eve removed the same, if it was first
			ended := s.awaitErasure("acme", id)
			if want = ended.State; want != schemas.ErasureDone && want != schemas.ErasureNothingFound {
				t.Errorf("%s is %+v", id, ended)
			}
			continue
		}
		if e := s.awaitErasure("acme", id); e.State != want && id != "of-eve" {
			t.Errorf("%s is %+v", id, e)
		}
	}
	s.awaitThat("acme", "files", func(e schemas.Export) bool { return e.State == schemas.Deleted })
	if n := s.count("SELECT count() FROM interactions"); n != 0 {
		t.Errorf("%d interactions are left after release", n)
	}
	s.awaitAudit("acme", "hold.create", "hold.request_release", "hold.withdraw_release", "hold.release", "erasure.hold", "erasure.complete")
}

// TestAHeldErasureRunsAfterARestart releases a hold while no erasure role runs and ClickHouse
// forgets that the erasure waits.
func TestAHeldErasureRunsAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("ingest", "history", "erasure")
	now := schemas.TimeOf(time.Now())
	hold := &schemas.Hold{TenantID: "acme", HoldID: "case-12", Name: "Smith v. Acme", Reason: "counsel asked", Contacts: []string{"eve"}, CreatedAt: now, UpdatedAt: now}
	w.publish(hold, of("eve", 1))
	w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-1", ContactID: "eve"})
	w.awaitErasureAs("case-1", schemas.ErasureHeld)
	w.publish(of("eve", 2)) // a fact after the erasure was accepted
	w.eventually(func() bool { return w.count("SELECT count() FROM interactions") == 2 })
	stop()
	w.exec("TRUNCATE TABLE erasures")
	released := *hold
	released.ReleasedAt, released.ReleasedBy = now, "ada"
	w.publish(&released)
	w.run("ingest", "history", "erasure")
	if e := w.awaitErasure("acme", "case-1"); e.State != schemas.ErasureDone || e.Rows != 1 || e.HoldID != "" {
		t.Errorf("it is %+v", e)
	}
	if n := w.count("SELECT count() FROM interactions"); n != 1 {
		t.Errorf("%d interactions are left, want the later one", n)
	}
}

// TestTheStoreIsToldWhichFilesAHoldKeeps reads the tag that the rule of the store goes by.
func TestTheStoreIsToldWhichFilesAHoldKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Retention.Every = 100 * time.Millisecond
	w.run("ingest", "export", "history", "retention")
	w.load("acme", 0, 10)
	w.publish(w.request("acme", "files"))
	w.await("acme", "files")
	c := w.config.S3
	client, err := minio.New(c.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey.Reveal(), ""), Region: c.Region})
	check(t, err)
	part := schemas.ExportPrefix("acme", "files") + schemas.PartName(schemas.EntityInteraction, "files", schemas.Part{Number: 1})
	tagged := func(want string) {
		t.Helper()
		w.eventually(func() bool {
			all, err := client.GetObjectTagging(t.Context(), c.Bucket, part, minio.GetObjectTaggingOptions{})
			check(t, err)
			return all.ToMap()["cdds"] == want
		})
	}
	tagged("artifact")
	now := schemas.TimeOf(time.Now())
	hold := schemas.Hold{TenantID: "acme", HoldID: "case-12", Name: "Smith v. Acme", Reason: "counsel asked", Exports: []string{"files"}, CreatedAt: now, UpdatedAt: now}
	w.publish(&hold)
	tagged("held")
	released := hold
	released.ReleasedAt, released.ReleasedBy = now, "ada"
	w.publish(&released)
	tagged("artifact")
}

// TestHistoryDoesNotAgePastWhatIsHeld holds one of three old interactions.
func TestHistoryDoesNotAgePastWhatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	w.now = func() time.Time { return now }
	w.config.History.KeepInteractions = 24 * time.Hour
	w.config.History.AgeEvery = 50 * time.Millisecond
	for n := range 4 { // three are old
		e := of("eve", n)
		e.StartedAt = schemas.TimeOf(now.Add(time.Duration(n-3) * 72 * time.Hour))
		w.publish(e)
	}
	at := schemas.TimeOf(now)
	hold := &schemas.Hold{TenantID: "acme", HoldID: "case-12", Name: "Smith v. Acme", Reason: "counsel asked", Interactions: []string{"i-000001", "gone"}, CreatedAt: at, UpdatedAt: at}
	w.publish(hold)
	stop := w.run("ingest", "history")
	w.eventually(func() bool { return w.count("SELECT count() FROM interactions") == 4 })
	stop()
	w.run("retention")
	w.eventually(func() bool { return w.count("SELECT count() FROM interactions") == 3 })
	if n := w.count("SELECT count() FROM interactions WHERE interaction_id = 'i-000001'"); n != 1 {
		t.Error("what is held aged out")
	}
	hold.ReleasedAt, hold.ReleasedBy = at, "ada"
	w.publish(hold)
	w.eventually(func() bool { return w.count("SELECT count() FROM interactions") == 1 })
}
