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
