package app_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"cdds/ops/api"
)

// TestReadsAndChangesAreConditionalOnTheRevision has a job and a certificate, each read by
// one and changed by another.
func TestReadsAndChangesAreConditionalOnTheRevision(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	acme := s.as("administrator", "acme")
	fingerprint := s.receiver(acme)
	acme.must(201, "POST", "/jobs", jobBody("nightly", fingerprint))
	body := jobBody("", fingerprint)

	tag := func(path string) string {
		status, header, answer := acme.send("GET", path, nil)
		if tag := header.Get("ETag"); status != 200 || tag == "" {
			t.Fatalf("GET %s: %d, ETag %q: %s", path, status, tag, answer)
		}
		return header.Get("ETag")
	}
	first := tag("/jobs/nightly")
	for _, known := range []string{first, `"7", ` + first, "W/" + first, "*"} {
		status, header, answer := acme.send("GET", "/jobs/nightly", nil, "If-None-Match", known)
		if status != 304 || header.Get("ETag") != first || len(answer) != 0 {
			t.Errorf("to who has %s: %d, ETag %q: %s", known, status, header.Get("ETag"), answer)
		}
	}
	acme.must(422, "PUT", "/jobs/nightly", body) // neither revision nor If-Match
	status, header, answer := acme.send("PUT", "/jobs/nightly", body, "If-Match", first)
	if status != 200 || header.Get("ETag") == first || header.Get("ETag") != tag("/jobs/nightly") {
		t.Errorf("changed: %d, ETag %q: %s", status, header.Get("ETag"), answer)
	}
	acme.must(200, "GET", "/jobs/nightly", nil, "If-None-Match", first)
	for _, stale := range []string{first, `W/"2"`, `"2`, "2", `"none"`} {
		acme.must(412, "PUT", "/jobs/nightly", body, "If-Match", stale)
		acme.must(412, "POST", "/jobs/nightly/suspend", nil, "If-Match", stale)
		acme.must(412, "POST", "/jobs/nightly/resume", nil, "If-Match", stale) // although it is active
		acme.must(412, "DELETE", "/jobs/nightly", nil, "If-Match", stale)
	}
	acme.must(200, "POST", "/jobs/nightly/suspend", nil, "If-Match", tag("/jobs/nightly")+`, "9"`)
	acme.must(200, "PUT", "/jobs/nightly", body, "If-Match", "*")
	acme.must(200, "DELETE", "/jobs/nightly", nil, "If-Match", tag("/jobs/nightly"))

	acme.must(304, "GET", "/certificates/"+fingerprint, nil, "If-None-Match", tag("/certificates/"+fingerprint))
	acme.must(412, "DELETE", "/certificates/"+fingerprint, nil, "If-Match", `"9"`)
	acme.must(204, "DELETE", "/certificates/"+fingerprint, nil, "If-Match", tag("/certificates/"+fingerprint))
}

// TestUsersAndTokensAreReadAndChangedConditionally: two administrators look at the same user and
// the same token, and each decides on what it saw.
func TestUsersAndTokensAreReadAndChangedConditionally(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	acme := s.as("administrator", "acme")
	acme.must(201, "POST", "/users", map[string]any{"name": "ann", "display_name": "Ann", "role": "viewer"})
	var token api.NewToken
	acme.into(&token, 201, "POST", "/tokens", map[string]any{"name": "nightly", "role": "viewer", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	tag := func(path string) string {
		t.Helper()
		_, header, answer := acme.send("GET", path, nil)
		if header.Get("ETag") == "" {
			t.Fatalf("GET %s has no ETag: %s", path, answer)
		}
		acme.must(304, "GET", path, nil, "If-None-Match", header.Get("ETag"))
		return header.Get("ETag")
	}
	first := tag("/users/ann")
	viewer, privacy := map[string]any{"display_name": "Ann", "role": "viewer"}, map[string]any{"display_name": "Ann", "role": "privacy"}
	acme.must(204, "PUT", "/users/ann", privacy, "If-Match", first)
	acme.must(200, "GET", "/users/ann", nil, "If-None-Match", first)
	for _, stale := range []string{first, `"none"`, "1"} {
		acme.must(412, "PUT", "/users/ann", viewer, "If-Match", stale)
		acme.must(412, "POST", "/users/ann/password", nil, "If-Match", stale)
		acme.must(412, "POST", "/users/ann/disable", nil, "If-Match", stale)
		acme.must(412, "POST", "/users/ann/enable", nil, "If-Match", stale)
		acme.must(412, "DELETE", "/users/ann", nil, "If-Match", stale)
		acme.must(412, "DELETE", "/tokens/"+token.TokenID, nil, "If-Match", `"7"`)
	}
	var ann api.UserView
	acme.into(&ann, 200, "GET", "/users/ann", nil)
	if ann.Role != "privacy" || ann.Disabled {
		t.Errorf("ann is %+v", ann)
	}
	acme.must(204, "POST", "/users/ann/disable", nil, "If-Match", tag("/users/ann"))
	acme.must(204, "POST", "/users/ann/enable", nil, "If-Match", `"99", `+tag("/users/ann"))
	acme.must(201, "POST", "/users/ann/password", nil, "If-Match", "*")
	acme.must(204, "DELETE", "/users/ann", nil, "If-Match", tag("/users/ann"))
	before := tag("/tokens/" + token.TokenID)
	acme.must(204, "DELETE", "/tokens/"+token.TokenID, nil, "If-Match", before)
	if tag("/tokens/"+token.TokenID) == before {
		t.Error("a token that was revoked has the ETag of before")
	}
	acme.must(412, "DELETE", "/tokens/"+token.TokenID, nil, "If-Match", before)

	// Two changes at once from one revision: one is made.
	acme.must(201, "POST", "/users", map[string]any{"name": "bob", "role": "viewer"})
	seen, statuses := tag("/users/bob"), make(chan int, 8)
	for range cap(statuses) {
		go func() {
			status, _, _ := acme.send("PUT", "/users/bob", privacy, "If-Match", seen)
			statuses <- status
		}()
	}
	count := map[int]int{}
	for range cap(statuses) {
		count[<-statuses]++
	}
	if count[204] != 1 || count[412] != cap(statuses)-1 {
		t.Errorf("answered with %v", count)
	}

	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{{"GET", "/nowhere", 404, ""}, {"PATCH", "/users/bob", 405, "DELETE, GET, HEAD, PUT"}, {"TRACE", "/exports", 405, "GET, HEAD, POST"}} {
		status, header, answer := acme.send(c.method, c.path, nil)
		if status != c.status || header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, status, header.Get("Allow"))
		}
		isProblem(t, c.status, header.Get("Content-Type"), answer)
	}
}

func TestAnswersSayHowManyRequestsAreLeft(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	acme := s.as("viewer", "acme")
	var before int
	for n := range 3 {
		_, header, _ := acme.send("GET", "/session", nil)
		var left, reset int
		if _, err := fmt.Sscanf(header.Get("RateLimit"), `"requests";r=%d;t=%d`, &left, &reset); err != nil || header.Get("RateLimit-Policy") != `"requests";q=100;w=5` {
			t.Fatalf("RateLimit %q, RateLimit-Policy %q", header.Get("RateLimit"), header.Get("RateLimit-Policy"))
		}
		if left > 99 || left < 90 || reset < 1 || n > 0 && left > before {
			t.Errorf("after %d requests %d are left, whole in %d s", n+1, left, reset)
		}
		before = left
	}
	for range 300 {
		status, header, _ := acme.send("GET", "/session", nil)
		if status == 429 {
			var left, reset int
			if _, err := fmt.Sscanf(header.Get("RateLimit"), `"requests";r=%d;t=%d`, &left, &reset); err != nil || left != 0 || header.Get("Retry-After") == "" {
				t.Errorf("refused, RateLimit is %q, Retry-After %q", header.Get("RateLimit"), header.Get("Retry-After"))
			}
			return
		}
	}
	t.Skip("this machine is too slow to ask too often")
}

// isProblem checks that an answer is problem details with its status.
func isProblem(t *testing.T, status int, contentType string, body []byte) {
	t.Helper()
	var p struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal(body, &p); err != nil || contentType != "application/problem+json" || p.Status != status || p.Title == "" || p.Detail == "" {
		t.Errorf("%d is %s: %s, %v", status, contentType, body, err)
	}
}
