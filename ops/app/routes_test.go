package app_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// route is how an operation is called and what comes of it. The path's {x} are what
// furnish made.
type route struct {
	id, method, path string
	body             func(made map[string]string) any
	// own is what an administrator of the tenant gets, viewer what a viewer gets.
	own, viewer int
	// operator is what an operator gets; 0 means 403.
	operator int
	// alien is what an administrator of another tenant gets who names none; 0 means 404.
	alien int
}

func with(v any) func(map[string]string) any { return func(map[string]string) any { return v } }

// routes are in an order in which each can succeed.
func routes() []route {
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	other := func(made map[string]string) any { return jobBody("", made["fingerprint"]) }
	revised := func(made map[string]string) any {
		b := jobBody("", made["fingerprint"])
		b["revision"] = 1
		return b
	}
	return []route{
		{id: "who-am-i", method: "GET", path: "/session", own: 200, viewer: 200, operator: 200, alien: 200},
		{id: "list-tenants", method: "GET", path: "/tenants", own: 200, viewer: 200, operator: 200, alien: 200},
		{id: "overview", method: "GET", path: "/overview", own: 200, viewer: 200, operator: 200, alien: 200},
		{id: "list-queues", method: "GET", path: "/queues?name=sales", own: 200, viewer: 200, alien: 200},
		{id: "list-jobs", method: "GET", path: "/jobs", own: 200, viewer: 200, alien: 200},
		{id: "create-job", method: "POST", path: "/jobs", body: other, own: 201, viewer: 403, alien: 422},
		{id: "show-job", method: "GET", path: "/jobs/{job}", own: 200, viewer: 200},
		{id: "webhook-secret", method: "GET", path: "/jobs/{job}/webhook-secret", own: 200, viewer: 403},
		{id: "test-webhook", method: "POST", path: "/jobs/{job}/webhook-test", own: 202, viewer: 403},
		{id: "redeliver-webhook", method: "POST", path: "/jobs/{job}/deliveries/evt_none/redeliver", own: 404, viewer: 403},
		{id: "change-job", method: "PUT", path: "/jobs/{job}", body: revised, own: 200, viewer: 403},
		{id: "suspend-job", method: "POST", path: "/jobs/{job}/suspend", own: 200, viewer: 403},
		{id: "resume-job", method: "POST", path: "/jobs/{job}/resume", own: 200, viewer: 403},
		{id: "next-runs", method: "GET", path: "/jobs/{job}/next", own: 200, viewer: 200},
		{id: "job-chain", method: "GET", path: "/jobs/{job}/chain", own: 200, viewer: 200},
		{id: "acknowledge-chain", method: "POST", path: "/jobs/{job}/chain/acknowledge", body: with(map[string]any{"number": 1, "export_id": "run"}), own: 204, viewer: 204},
		{id: "restart-chain", method: "POST", path: "/jobs/{job}/restart-chain", own: 409, viewer: 403},
		{id: "run-job", method: "POST", path: "/jobs/{job}/run", own: 202, viewer: 403},
		{id: "list-deliveries", method: "GET", path: "/deliveries", own: 200, viewer: 200, alien: 200},
		{id: "list-exports", method: "GET", path: "/exports", own: 200, viewer: 200, alien: 200},
		{id: "create-export", method: "POST", path: "/exports", body: func(made map[string]string) any { return exportBody(made["fingerprint"], "") }, own: 202, viewer: 403, alien: 422},
		{id: "estimate-export", method: "POST", path: "/estimates", body: func(made map[string]string) any { return exportBody(made["fingerprint"], "") }, own: 200, viewer: 403, alien: 422},
		{id: "show-export", method: "GET", path: "/exports/{export}", own: 200, viewer: 200},
		{id: "follow-export", method: "GET", path: "/exports/{export}/events", own: 200, viewer: 200},
		{id: "clone-export", method: "POST", path: "/exports/{export}/clone", own: 202, viewer: 403},
		{id: "cancel-export", method: "POST", path: "/exports/{export}/cancel", own: 409, viewer: 403},
		{id: "retry-export", method: "POST", path: "/exports/{export}/retry", own: 409, viewer: 403},
		{id: "list-artifacts", method: "GET", path: "/artifacts", own: 200, viewer: 200, alien: 200},
		{id: "list-parts", method: "GET", path: "/exports/{export}/parts", own: 200, viewer: 200},
		{id: "list-export-artifacts", method: "GET", path: "/exports/{export}/artifacts", own: 200, viewer: 200},
		{id: "fetch-artifact", method: "GET", path: "/exports/{export}/artifacts/{part}", own: 200, viewer: 200},
		{id: "delete-export", method: "DELETE", path: "/exports/{export}", own: 202, viewer: 403},
		{id: "list-certificates", method: "GET", path: "/certificates", own: 200, viewer: 200, alien: 200},
		{id: "add-certificate", method: "POST", path: "/certificates", body: with([]byte("nothing")), own: 422, viewer: 403, alien: 422},
		{id: "show-certificate", method: "GET", path: "/certificates/{fingerprint}", own: 200, viewer: 200},
		{id: "certificate-sample", method: "GET", path: "/certificates/{fingerprint}/sample", own: 200, viewer: 200},
		{id: "replace-certificate", method: "PUT", path: "/certificates/{fingerprint}/replacement", body: with([]byte("nothing")), own: 422, viewer: 403},
		{id: "list-erasures", method: "GET", path: "/erasures", own: 200, viewer: 200, alien: 200},
		{id: "create-erasure", method: "POST", path: "/erasures", body: with(map[string]any{"contact_id": "nobody"}), own: 202, viewer: 403, alien: 202},
		{id: "show-erasure", method: "GET", path: "/erasures/{erasure}", own: 200, viewer: 200},
		{id: "list-holds", method: "GET", path: "/holds", own: 200, viewer: 200, alien: 200},
		{id: "create-hold", method: "POST", path: "/holds", body: with(map[string]any{"name": "a case", "reason": "why"}), own: 422, viewer: 403, alien: 422},
		{id: "show-hold", method: "GET", path: "/holds/{hold}", own: 200, viewer: 200},
		{id: "release-hold", method: "POST", path: "/holds/{hold}/release", own: 200, viewer: 403},
		{id: "withdraw-release", method: "POST", path: "/holds/{hold}/withdraw", own: 409, viewer: 403},
		{id: "list-audit", method: "GET", path: "/audit", own: 200, viewer: 200, alien: 200},
		{id: "export-audit", method: "GET", path: "/audit/export", own: 200, viewer: 200, alien: 200},
		{id: "show-account", method: "GET", path: "/account", own: 403, viewer: 403, alien: 403},
		{id: "write-off", method: "POST", path: "/account/write-offs", body: with(map[string]any{"topic": "cdds.interactions", "reason": "x"}), own: 403, viewer: 403, alien: 403},
		{id: "list-letters", method: "GET", path: "/letters", own: 403, viewer: 403, alien: 403},
		{id: "show-letter", method: "GET", path: "/letters/cdds.interactions/0/0", own: 403, viewer: 403, alien: 403},
		{id: "publish-letter", method: "POST", path: "/letters/cdds.interactions/0/0/publish", body: with(map[string]any{"letter_id": "x"}), own: 403, viewer: 403, alien: 403},
		{id: "list-users", method: "GET", path: "/users", own: 200, viewer: 403, alien: 200},
		{id: "list-sessions", method: "GET", path: "/sessions", own: 200, viewer: 403, alien: 200},
		{id: "end-session", method: "DELETE", path: "/sessions/{session}", own: 204, viewer: 403},
		{id: "get-user", method: "GET", path: "/users/{user}", own: 200, viewer: 403},
		{id: "create-user", method: "POST", path: "/users", body: with(map[string]any{"name": "ann", "role": "viewer"}), own: 409, viewer: 403, alien: 409},
		{id: "change-user", method: "PUT", path: "/users/{user}", body: with(map[string]any{"role": "viewer"}), own: 204, viewer: 403},
		{id: "disable-user", method: "POST", path: "/users/{user}/disable", own: 204, viewer: 403},
		{id: "enable-user", method: "POST", path: "/users/{user}/enable", own: 204, viewer: 403},
		{id: "reset-password", method: "POST", path: "/users/{user}/password", own: 201, viewer: 403},
		{id: "delete-user", method: "DELETE", path: "/users/{user}", own: 204, viewer: 403},
		{id: "list-tokens", method: "GET", path: "/tokens", own: 200, viewer: 403, alien: 200},
		{id: "get-token", method: "GET", path: "/tokens/{token}", own: 200, viewer: 403},
		{id: "create-token", method: "POST", path: "/tokens", body: with(map[string]any{"name": "x", "role": "viewer", "expires_at": soon}), own: 201, viewer: 403, alien: 201},
		{id: "revoke-token", method: "DELETE", path: "/tokens/{token}", own: 204, viewer: 403},
		{id: "delete-job", method: "DELETE", path: "/jobs/{job}", own: 200, viewer: 403},
		{id: "remove-certificate", method: "DELETE", path: "/certificates/{fingerprint}", own: 409, viewer: 403},
	}
}

// sessionRoutes are about who is signed in, not about a tenant; they have tests of
// their own.
var sessionRoutes = []string{"sign-in", "sign-out", "sign-out-everywhere", "change-password"}

func TestEveryRouteAllowsEveryRoleOfEveryTenantWhatItShould(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	acme := s.as("administrator", "acme")
	viewer, operator, alien := s.as("viewer", "acme"), s.as("operator", "*"), s.as("administrator", "globex")
	made := s.furnish(acme)
	table := routes()

	known := map[string]bool{}
	for _, id := range sessionRoutes {
		known[id] = true
	}
	for _, r := range table {
		known[r.id] = true
	}
	for id := range operations(t, s) {
		if !known[id] {
			t.Errorf("operation %s has no row here: say who may do it", id)
		}
		delete(known, id)
	}
	for id := range known {
		t.Errorf("operation %s is in the table and not in the API", id)
	}

	for _, r := range table {
		path := r.path
		for name, id := range made {
			path = strings.ReplaceAll(path, "{"+name+"}", id)
		}
		var body any
		if r.body != nil {
			body = r.body(made)
		}
		scoped := "?tenant=acme"
		if strings.Contains(path, "?") {
			scoped = "&tenant=acme"
		}
		if r.id == "who-am-i" || r.id == "list-tenants" { // of no tenant
			scoped = ""
		}
		or := func(status, otherwise int) int {
			if status == 0 {
				return otherwise
			}
			return status
		}
		foreign := 404
		if scoped == "" {
			foreign = r.own
		}
		for _, call := range []struct {
			who  string
			c    *caller
			path string
			want int
		}{
			{"nobody", s.browser(), path, 401},
			{"a viewer", viewer, path, r.viewer},
			{"an operator", operator, path + scoped, or(r.operator, 403)},
			{"another tenant's administrator", alien, path, or(r.alien, 404)},
			{"another tenant's administrator, by name", alien, path + scoped, foreign},
			{"the tenant's administrator", acme, path, r.own},
		} {
			got, header, answer := call.c.send(r.method, call.path, body)
			if got != call.want {
				t.Errorf("%s: %s %s of %s: %d, want %d: %s", r.id, r.method, call.path, call.who, got, call.want, answer)
			}
			if got >= 400 && header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d is %s, not problem details", r.id, got, header.Get("Content-Type"))
			}
			if call.c == alien && bytes.Contains(answer, []byte("acme")) {
				t.Errorf("%s: another tenant's administrator reads of acme: %s", r.id, answer)
			}
		}
	}
}

// operations are the operation ids of the document the site serves.
func operations(t *testing.T, s *site) map[string]bool {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	s.root.into(&document, 200, "GET", "/openapi.json", nil)
	ids := map[string]bool{}
	for _, item := range document.Paths {
		for _, op := range item {
			ids[op.OperationID] = true
		}
	}
	if len(ids) == 0 {
		t.Fatal("the document has no operations")
	}
	return ids
}
