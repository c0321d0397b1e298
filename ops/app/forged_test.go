package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// TestWhoMayWriteStatusEventsCannotReadAnotherTenantsObjects forges an export of acme
// whose file is one of globex.
func TestWhoMayWriteStatusEventsCannotReadAnotherTenantsObjects(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.load("globex", 0, 3)
	s.publish(s.request("globex", "secret"))
	secret := s.await("globex", "secret")
	now := schemas.TimeOf(time.Now())
	forge := func(event string, state schemas.State, edit func(*schemas.ExportStatus)) {
		t.Helper()
		e := &schemas.ExportStatus{TenantID: "acme", ExportID: "loot", EventID: event, State: state, Time: now}
		edit(e)
		value, err := schemas.Encode(e)
		check(t, err)
		s.produce(schemas.TopicExportStatus, []byte("loot"), value)
	}
	forge("requested", schemas.Requested, func(*schemas.ExportStatus) {})
	forge("part/000001", schemas.Running, func(e *schemas.ExportStatus) { e.Part = &secret.Parts[0] })
	forge("completed", schemas.Completed, func(e *schemas.ExportStatus) {
		own := *secret.Completion
		own.ManifestKey, own.SignatureKey = "acme/loot/manifest.json", "acme/loot/manifest.json.p7s"
		e.Completion = &own
	})
	loot := s.await("acme", "loot")
	if n := s.count("SELECT count() FROM dead_letters WHERE topic = 'cdds.export.status' AND reason LIKE '%the name of part 1 of export loot%'"); n != 1 {
		t.Errorf("%d events were dead-lettered for the name they claim, want 1", n)
	}
	reader := s.as("administrator", "acme")
	for _, name := range []string{secret.Parts[0].Name, strings.ReplaceAll(secret.Parts[0].Name, "secret", "loot"), schemas.ManifestName} {
		if status, _, body := reader.send(http.MethodGet, "/exports/loot/artifacts/"+name, nil); status != http.StatusNotFound {
			t.Errorf("%s of the forged export answers %d: %.80s", name, status, body)
		}
	}
	if len(loot.Parts) != 0 {
		t.Errorf("history believes %+v", loot.Parts)
	}
}
