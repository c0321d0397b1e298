package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/ops/api"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// TestAnAdministratorOfAllTenantsWritesOffThroughTheAPI has Kafka delete records before they are
// ingested.
func TestAnAdministratorOfAllTenantsWritesOffThroughTheAPI(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"history", "web"})
	s.load("acme", 0, 200)
	s.settle()
	var trim kadm.Offsets
	trim.AddOffset(string(schemas.TopicInteractions), 0, 10, -1)
	deleted, err := s.admin.DeleteRecords(t.Context(), trim)
	check(t, err)
	check(t, deleted.Error())
	acme := s.as(schemas.RoleAdministrator, "acme")
	acme.must(http.StatusForbidden, "GET", "/account", nil)
	all := map[string]any{"topic": schemas.TopicInteractions, "reason": "the broker's disk"}
	acme.must(http.StatusForbidden, "POST", "/account/write-offs", all)
	s.run("ingest")

	var drawn api.Listing[warehouse.TopicAccount]
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && (len(drawn.Items) == 0 || drawn.Items[0].Missing() == 0); {
		s.root.into(&drawn, http.StatusOK, "GET", "/account", nil)
	}
	if len(drawn.Items) != 2 || drawn.Items[0].Missing() != 10 || len(drawn.Items[0].Gone) != 1 || drawn.Items[0].Gone[0] != (schemas.Run{First: 0, Next: 10}) {
		t.Errorf("the account is %+v", drawn.Items)
	}
	for name, body := range map[string]map[string]any{
		"of another topic": {"topic": "cdds.audit", "reason": "why not"},
		"without a reason": {"topic": schemas.TopicInteractions, "reason": " "},
		"with a slip":      {"topic": schemas.TopicInteractions, "reason": "why", "everything": true},
	} {
		t.Run(name, func(*testing.T) { s.root.must(http.StatusUnprocessableEntity, "POST", "/account/write-offs", body) })
	}
	s.root.must(http.StatusUnprocessableEntity, "POST", "/account/write-offs?tenant=acme", all)
	var off schemas.WriteOff
	s.root.into(&off, http.StatusCreated, "POST", "/account/write-offs", map[string]any{
		"topic": schemas.TopicInteractions, "reason": "the broker's disk", "within": []schemas.Run{{First: 0, Next: 4}}})
	if off.Number != 1 || off.Records() != 4 {
		t.Errorf("written off is %+v", off)
	}
	s.root.into(&off, http.StatusCreated, "POST", "/account/write-offs", all)
	if off.Number != 2 || off.Records() != 6 {
		t.Errorf("the rest that is written off is %+v", off)
	}
	s.root.must(http.StatusConflict, "POST", "/account/write-offs", all)
	s.root.into(&drawn, http.StatusOK, "GET", "/account", nil)
	if a := drawn.Items[0]; a.Missing() != 0 || len(a.WriteOffs) != 2 || a.WriteOffs[0].By != "admin (user/admin)" {
		t.Errorf("afterwards the account is %+v", a)
	}
}
