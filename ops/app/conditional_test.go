package app_test

import (
	"encoding/json"
	"fmt"
	"testing"
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
