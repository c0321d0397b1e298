package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/api"
	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/schemas"
)

// site is a world with the web role, and who can call it.
type site struct {
	*world
	url string
	// log is everything the process logged.
	log *syncBuffer
	// secrets are all that must never be in a log.
	secrets []string
	// password is the first user's, once it was chosen.
	password string
	root     *caller
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// caller makes requests as somebody.
type caller struct {
	site   *site
	token  string
	client *http.Client // with cookies
}

// newSite runs all roles and signs the first user in.
func newSite(t *testing.T, change ...func(*config.Config)) *site {
	t.Helper()
	return newSiteOf(t, []string{"ingest", "export", "history", "erasure", "web"}, change...)
}

// newSiteOf is newSite with only some roles.
func newSiteOf(t *testing.T, roles []string, change ...func(*config.Config)) *site {
	t.Helper()
	w := newWorld(t)
	for _, c := range change {
		c(&w.config)
	}
	s := &site{world: w}
	first := s.start(roles)
	var password string
	select {
	case password = <-first:
	case <-time.After(patience):
		t.Fatalf("no first user: %s", s.log)
	}
	s.password = "correct horse battery staple"
	s.secrets = append(s.secrets, password, s.password)
	s.root = s.browser()
	s.root.must(200, "POST", "/session", map[string]any{"name": "admin", "password": password})
	s.root.must(204, "PUT", "/session/password", map[string]any{"old": password, "new": s.password})
	return s
}

// start runs an app until the test ends, and returns what the first user's password comes
// from.
func (s *site) start(roles []string) (first <-chan string) {
	s.t.Helper()
	made := make(chan string, 1)
	s.log = new(syncBuffer)
	a, err := app.New(app.Options{
		Config: s.config, Roles: roles, Name: "test", Registry: prometheus.NewRegistry(),
		Logger:    slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		FirstUser: func(_, password string) { made <- password },
	})
	check(s.t, err)
	s.url, s.metrics = a.WebURL(), "http://"+a.MetricsAddr()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // a server waits for one that was never used
		cancel()
		if err := <-done; err != nil {
			s.t.Error("the app ended with:", err)
		}
		for _, secret := range s.secrets {
			if strings.Contains(s.log.String(), secret) {
				s.t.Errorf("the log holds the secret %.12s...", secret)
			}
		}
	})
	return made
}

// replica is another process of the web role at the same services.
func (s *site) replica() *site {
	s.t.Helper()
	w := *s.world
	r := &site{world: &w, password: s.password, secrets: s.secrets}
	r.start([]string{"web"})
	r.awaitReady(200)
	r.root = r.browser()
	r.root.must(200, "POST", "/session", map[string]any{"name": "admin", "password": s.password})
	return r
}

// browser is somebody with cookies who is not signed in.
func (s *site) browser() *caller {
	jar, err := cookiejar.New(nil)
	check(s.t, err)
	return &caller{site: s, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as is a program with a new token of this role and tenant.
func (s *site) as(role, tenant string) *caller {
	s.t.Helper()
	var made api.NewToken
	s.root.into(&made, 201, "POST", "/tokens?tenant="+tenant, map[string]any{
		"name": role + " of " + tenant, "role": role, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})
	s.secrets = append(s.secrets, made.Secret)
	c := s.browser()
	c.token = made.Secret
	return c
}

// send makes a request and returns the answer's status, header and body.
func (c *caller) send(method, path string, body any, header ...string) (int, http.Header, []byte) {
	c.site.t.Helper()
	var content io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		content, contentType = bytes.NewReader(b), "application/octet-stream"
	default:
		encoded, err := json.Marshal(b)
		check(c.site.t, err)
		content = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(c.site.t.Context(), method, c.site.url+api.Prefix+path, content)
	check(c.site.t, err)
	if content != nil {
		r.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.client.Do(r)
	check(c.site.t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	check(c.site.t, err)
	return answer.StatusCode, answer.Header, b
}

func (c *caller) must(status int, method, path string, body any, header ...string) []byte {
	c.site.t.Helper()
	got, _, b := c.send(method, path, body, header...)
	if got != status {
		c.site.t.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, b)
	}
	return b
}

func (c *caller) into(v any, status int, method, path string, body any, header ...string) {
	c.site.t.Helper()
	check(c.site.t, json.Unmarshal(c.must(status, method, path, body, header...), v))
}

// furnish gives acme one of everything, and returns what paths and bodies name.
func (s *site) furnish(acme *caller) map[string]string {
	s.t.Helper()
	for n := range 20 {
		s.publish(interaction("acme", n))
	}
	pem, err := os.ReadFile(s.cert)
	check(s.t, err)
	var c schemas.Certificate
	acme.into(&c, 201, "POST", "/certificates?name=receiver", pem)
	var e schemas.Export
	acme.into(&e, 202, "POST", "/exports", exportBody(c.Fingerprint, "done"))
	done := s.await("acme", "done")
	if done.State != schemas.Completed {
		s.t.Fatalf("the export is %s: %+v", done.State, done.Failure)
	}
	nightly := jobBody("nightly", c.Fingerprint)
	nightly["webhook"] = map[string]any{"url": "https://hooks.example.com/cdds", "secret_version": 1}
	acme.must(201, "POST", "/jobs", nightly)
	inTheClear := jobBody("clear", c.Fingerprint)
	inTheClear["webhook"] = map[string]any{"url": "http://hooks.example.com/cdds", "secret_version": 1}
	acme.must(422, "POST", "/jobs", inTheClear)
	forgotten := interaction("acme", 20)
	s.publish(forgotten)
	acme.must(202, "POST", "/erasures", map[string]any{"erasure_id": "case", "interaction_id": forgotten.InteractionID})
	s.awaitErasure("acme", "case")
	acme.must(201, "POST", "/holds", map[string]any{"hold_id": "held", "name": "a case", "reason": "a court", "contacts": []string{"nobody at all"}})
	var p api.Password
	acme.into(&p, 201, "POST", "/users", map[string]any{"name": "ann", "role": "viewer"})
	s.browser().must(200, "POST", "/session", map[string]any{"name": "ann", "password": p.Password})
	var sessions api.Listing[api.SessionView]
	acme.into(&sessions, 200, "GET", "/sessions", nil)
	if len(sessions.Items) != 1 || sessions.Items[0].Name != "ann" {
		s.t.Fatalf("the sessions of acme are %+v", sessions.Items)
	}
	var token api.NewToken
	acme.into(&token, 201, "POST", "/tokens", map[string]any{"name": "spare", "role": "viewer", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	s.secrets = append(s.secrets, p.Password, token.Secret)
	return map[string]string{
		"export": "done", "part": done.Parts[0].Name, "job": "nightly", "fingerprint": c.Fingerprint, "erasure": "case", "hold": "held", "user": "ann", "token": token.TokenID,
		"session": sessions.Items[0].SessionID,
	}
}

func exportBody(fingerprint, id string) map[string]any {
	return map[string]any{
		"export_id": id, "entity": "interaction", "from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z",
		"recipients": []map[string]any{{"fingerprint": fingerprint}},
	}
}

func jobBody(id, fingerprint string) map[string]any {
	b := map[string]any{
		"title": "Nightly", "entity": "interaction", "schedule": map[string]any{"run": "daily", "at": "03:00"},
		"timeframe": map[string]any{"kind": "all"}, "recipients": []string{fingerprint},
	}
	if id != "" {
		b["job_id"] = id
	}
	return b
}

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
		{id: "list-audit", method: "GET", path: "/audit", own: 200, viewer: 200, alien: 200},
		{id: "export-audit", method: "GET", path: "/audit/export", own: 200, viewer: 200, alien: 200},
		{id: "show-account", method: "GET", path: "/account", own: 403, viewer: 403, alien: 403},
		{id: "write-off", method: "POST", path: "/account/write-offs", body: with(map[string]any{"topic": "cdds.interactions", "reason": "x"}), own: 403, viewer: 403, alien: 403},
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
