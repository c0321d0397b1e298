package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cdds/ops/api"
	"cdds/ops/config"
	"cdds/schemas"
)

// balanced is a second replica of the web role and a proxy before both: of requests that
// follow each other, each goes to the other replica.
func (s *site) balanced() *site {
	s.t.Helper()
	replicas := []*site{s, s.replica()}
	var n atomic.Int64
	upstream := &http.Transport{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: upstream, Rewrite: func(r *httputil.ProxyRequest) {
		to, err := url.Parse(replicas[n.Add(1)%2].url)
		check(s.t, err)
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}})
	s.t.Cleanup(func() {
		proxy.Close()
		upstream.CloseIdleConnections()
	})
	b := *s
	b.url = proxy.URL
	b.root = s.root.through(&b)
	return &b
}

// TestEveryFlowWorksWhileItsRequestsAlternateBetweenTwoReplicas reads after each write, and
// so from the other replica.
func TestEveryFlowWorksWhileItsRequestsAlternateBetweenTwoReplicas(t *testing.T) {
	t.Parallel()
	first := newSiteOf(t, []string{"export", "history", "erasure", "web"}, func(c *config.Config) { c.Export.IngestWait = 2 * time.Second })
	s := first.balanced()
	defer func() { first.secrets = append(first.secrets, s.secrets...) }()
	acme := s.as("administrator", "acme")
	s.publish(of("eve", 10))
	broken := s.failedExport(acme)
	s.run("ingest")
	s.eventually(func() bool { return s.count("SELECT count() FROM interactions") == 6 })

	for _, flow := range []func(*site, *caller){signsInAndOut, managesUsers, managesTokens, managesJobs, exportsAndCancels, erases} {
		flow(s, acme)
	}
	s.retries(acme, broken)

	// Every operation there is, at one replica after the other.
	made := s.furnish(acme)
	s.downloads(acme, made)
	for _, r := range routes() {
		path := r.path
		for name, id := range made {
			path = strings.ReplaceAll(path, "{"+name+"}", id)
		}
		var body any
		if r.body != nil {
			body = r.body(made)
		}
		if got, _, answer := acme.send(r.method, path, body); got != r.own {
			t.Errorf("%s: %s %s: %d, want %d: %s", r.id, r.method, path, got, r.own, answer)
		}
	}
	s.guesses()
	var trail api.Listing[schemas.AuditRecord]
	acme.into(&trail, 200, "GET", "/audit?limit=1", nil)
	var next api.Listing[schemas.AuditRecord]
	acme.into(&next, 200, "GET", "/audit?limit=1&cursor="+trail.Next, nil) // with a cursor of the other replica
	if len(trail.Items) != 1 || len(next.Items) != 1 || trail.Items[0].AuditID == next.Items[0].AuditID {
		t.Errorf("the pages of the audit trail are %+v and %+v", trail.Items, next.Items)
	}
}

// failedExport requests an export while nothing ingests what it waits for.
func (s *site) failedExport(acme *caller) (id string) {
	s.t.Helper()
	s.load("acme", 0, 5)
	acme.must(202, "POST", "/exports", exportBody(s.receiver(acme), "broken"))
	if e := s.await("acme", "broken"); e.State != schemas.Failed {
		s.t.Fatalf("nothing ingests, and the export is %s", e.State)
	}
	return "broken"
}

// receiver is the fingerprint of the site's certificate, registered for a tenant.
func (s *site) receiver(acme *caller) string {
	s.t.Helper()
	pem, err := os.ReadFile(s.cert)
	check(s.t, err)
	var c schemas.Certificate
	status, _, answer := acme.send("POST", "/certificates?name=receiver", pem)
	if status != 201 {
		s.t.Fatalf("the certificate is answered with %d: %s", status, answer)
	}
	check(s.t, json.Unmarshal(answer, &c))
	acme.must(200, "GET", "/certificates/"+c.Fingerprint, nil)
	return c.Fingerprint
}

func signsInAndOut(s *site, acme *caller) {
	var p api.Password
	acme.into(&p, 201, "POST", "/users", map[string]any{"name": "eve", "role": "viewer"})
	s.secrets = append(s.secrets, p.Password)
	eve, elsewhere := s.browser(), s.browser()
	eve.must(200, "POST", "/session", map[string]any{"name": "eve", "password": p.Password})
	eve.must(403, "GET", "/jobs", nil) // not before it has chosen a password
	s.browser().must(401, "POST", "/session", map[string]any{"name": "eve", "password": p.Password})
	eve.must(204, "PUT", "/session/password", map[string]any{"old": p.Password, "new": s.password})
	for range 2 { // at both
		eve.must(200, "GET", "/jobs", nil)
	}
	elsewhere.must(200, "POST", "/session", map[string]any{"name": "eve", "password": s.password})
	if sessions := acme.must(200, "GET", "/sessions", nil); bytes.Count(sessions, []byte(`"eve"`)) != 2 {
		s.t.Errorf("of the two sessions of eve, these are listed: %s", sessions)
	}
	signedIn, err := url.Parse(s.url)
	check(s.t, err)
	cookies := eve.client.Jar.Cookies(signedIn)
	eve.must(204, "DELETE", "/session", nil)
	eve.client.Jar.SetCookies(signedIn, cookies) // as who copied them has them
	for range 2 {
		eve.must(401, "GET", "/session", nil)
	}
	elsewhere.must(204, "DELETE", "/sessions", nil)
	elsewhere.must(401, "GET", "/session", nil)
}

func managesUsers(s *site, acme *caller) {
	for n := range 2 { // each step begins at either replica
		name := fmt.Sprintf("user-%d", n)
		user := func() (u api.UserView) {
			acme.into(&u, 200, "GET", "/users/"+name, nil)
			return u
		}
		var p api.Password
		acme.into(&p, 201, "POST", "/users", map[string]any{"name": name, "role": "viewer"})
		if u := user(); u.Role != "viewer" || u.Disabled {
			s.t.Errorf("made, the user is %+v", u)
		}
		acme.must(204, "PUT", "/users/"+name, map[string]any{"role": "privacy"})
		if u := user(); u.Role != "privacy" {
			s.t.Errorf("changed, the user is %+v", u)
		}
		acme.must(204, "POST", "/users/"+name+"/disable", nil)
		if u := user(); !u.Disabled {
			s.t.Errorf("disabled, the user is %+v", u)
		}
		acme.must(204, "POST", "/users/"+name+"/enable", nil)
		if u := user(); u.Disabled {
			s.t.Errorf("enabled, the user is %+v", u)
		}
		before := p.Password
		acme.into(&p, 201, "POST", "/users/"+name+"/password", nil)
		s.secrets = append(s.secrets, before, p.Password)
		s.browser().must(401, "POST", "/session", map[string]any{"name": name, "password": before})
		s.browser().must(200, "POST", "/session", map[string]any{"name": name, "password": p.Password})
		acme.must(409, "POST", "/users", map[string]any{"name": name, "role": "viewer"})
		acme.must(204, "DELETE", "/users/"+name, nil)
		acme.must(404, "GET", "/users/"+name, nil)
		if strings.Contains(string(acme.must(200, "GET", "/users", nil)), name) {
			s.t.Errorf("%s is listed and was deleted", name)
		}
	}
}

func managesTokens(s *site, acme *caller) {
	ends := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for range 2 {
		var made api.NewToken
		acme.into(&made, 201, "POST", "/tokens", map[string]any{"name": "job runner", "role": "viewer", "expires_at": ends})
		s.secrets = append(s.secrets, made.Secret)
		program := s.browser()
		program.token = made.Secret
		program.must(200, "GET", "/session", nil)
		acme.must(200, "GET", "/tokens/"+made.TokenID, nil)
		acme.must(204, "DELETE", "/tokens/"+made.TokenID, nil)
		for range 2 {
			program.must(401, "GET", "/session", nil)
		}
	}
}

func managesJobs(s *site, acme *caller) {
	fingerprint := s.receiver(acme)
	for n := range 2 {
		id := fmt.Sprintf("job-%d", n)
		job := func() (j schemas.Job) {
			acme.into(&j, 200, "GET", "/jobs/"+id, nil)
			return j
		}
		acme.must(201, "POST", "/jobs", jobBody(id, fingerprint))
		if !strings.Contains(string(acme.must(200, "GET", "/jobs", nil)), id) {
			s.t.Errorf("%s is not listed", id)
		}
		changed := jobBody("", fingerprint)
		changed["title"], changed["revision"] = "Changed", 1
		acme.must(200, "PUT", "/jobs/"+id, changed)
		acme.must(412, "PUT", "/jobs/"+id, changed) // of a revision that another replica made another of
		if j := job(); j.Title != "Changed" || j.Revision != 2 {
			s.t.Errorf("changed, the job is %q, revision %d", j.Title, j.Revision)
		}
		acme.must(200, "POST", "/jobs/"+id+"/suspend", nil)
		if j := job(); j.State != schemas.JobSuspended {
			s.t.Errorf("suspended, the job is %s", j.State)
		}
		acme.must(200, "POST", "/jobs/"+id+"/resume", nil)
		if j := job(); j.State != schemas.JobActive {
			s.t.Errorf("resumed, the job is %s", j.State)
		}
		var run schemas.Export
		acme.into(&run, 202, "POST", "/jobs/"+id+"/run", nil)
		acme.must(200, "GET", "/exports/"+run.ExportID, nil)
		acme.must(200, "DELETE", "/jobs/"+id, nil)
		acme.must(404, "GET", "/jobs/"+id, nil)
	}
	acme.must(204, "DELETE", "/certificates/"+fingerprint, nil)
	acme.must(404, "GET", "/certificates/"+fingerprint, nil)
	s.receiver(acme)
}

// exportsAndCancels follows an export of some contacts to its end, and one to its cancellation.
func exportsAndCancels(s *site, acme *caller) {
	fingerprint := s.receiver(acme)
	for _, id := range []string{"all", "theirs"} {
		body := exportBody(fingerprint, id)
		if id == "theirs" {
			body["contacts"], body["reason"] = []string{"eve"}, "access request 4711"
		}
		for range 2 { // the same again is the same export, at whichever replica
			acme.must(202, "POST", "/exports", body, "Idempotency-Key", id)
		}
		acme.must(200, "GET", "/exports/"+id, nil)
		for range 2 {
			if last := acme.follow(id).last(); !strings.Contains(last, `"state":"completed"`) {
				s.t.Errorf("the stream of %s ends with %s", id, last)
			}
		}
		acme.must(202, "POST", "/exports/"+id+"/clone", nil)
	}
	acme.must(202, "POST", "/exports", exportBody(fingerprint, "unwanted"))
	if status, _, answer := acme.send("POST", "/exports/unwanted/cancel", nil); status != 202 && status != 409 { // it may have ended
		s.t.Errorf("the cancellation is answered with %d: %s", status, answer)
	}
	acme.follow("unwanted").ends()
	s.await("acme", "unwanted")
	acme.must(202, "DELETE", "/exports/all", nil)
	s.awaitThat("acme", "all", func(e schemas.Export) bool { return e.State == schemas.Deleted })
	for range 2 {
		acme.must(410, "GET", "/exports/all/artifacts/manifest.json", nil)
	}
}

func erases(s *site, acme *caller) {
	for n := range 2 {
		id := fmt.Sprintf("case-%d", n)
		acme.must(202, "POST", "/erasures", map[string]any{"erasure_id": id, "contact_id": "nobody"})
		acme.must(200, "GET", "/erasures/"+id, nil)
		s.awaitErasure("acme", id)
	}
}

// retries retries a failed export until ingest is far enough. It follows each attempt: no
// replica says that the export has failed once the next attempt is requested.
func (s *site) retries(acme *caller, id string) {
	s.t.Helper()
	e := s.await("acme", id)
	for e.State == schemas.Failed {
		before := e.Attempt
		acme.must(202, "POST", "/exports/"+id+"/retry", nil)
		check(s.t, json.Unmarshal([]byte(acme.follow(id).last()), &e))
		if e.Attempt <= before {
			s.t.Fatalf("the stream after a retry ends with attempt %d, %s", e.Attempt, e.State)
		}
	}
	if e.State != schemas.Completed {
		s.t.Errorf("retried, the export is %s: %+v", e.State, e.Failure)
	}
}

// downloads fetches a file in pieces, each from the other replica.
func (s *site) downloads(acme *caller, made map[string]string) {
	s.t.Helper()
	path := "/exports/" + made["export"] + "/artifacts/" + made["part"]
	_, header, whole := acme.send("GET", path, nil)
	tag := header.Get("ETag")
	var pieces []byte
	for at := 0; at < len(whole); at += 500 {
		status, header, piece := acme.send("GET", path, nil, "Range", fmt.Sprintf("bytes=%d-%d", at, at+499), "If-Range", tag)
		if status != http.StatusPartialContent || header.Get("ETag") != tag {
			s.t.Fatalf("the piece at %d is answered with %d, ETag %s, want %s", at, status, header.Get("ETag"), tag)
		}
		pieces = append(pieces, piece...)
	}
	if tag == "" || len(whole) < 1000 || !bytes.Equal(pieces, whole) {
		s.t.Errorf("%d bytes in pieces are not the %d of the file, ETag %q", len(pieces), len(whole), tag)
	}
}

// guesses finds that each replica slows guessing by itself: two let through twice the five.
func (s *site) guesses() {
	s.t.Helper()
	for n := range 40 {
		status, header, answer := s.browser().send("POST", "/session", map[string]any{"name": "mallory", "password": "a wrong password"})
		switch {
		case status == 401:
		case status == 429 && n >= 10 && header.Get("Retry-After") != "":
			return
		default:
			s.t.Fatalf("guess %d is answered with %d, Retry-After %q: %s", n+1, status, header.Get("Retry-After"), answer)
		}
	}
	s.t.Error("nobody stops who guesses")
}
