package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestRequestsOfTheWebAreMeasuredByRouteAndLogged(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	status, header, _ := s.root.send("GET", "/users?tenant=*", nil, "X-Request-Id", "from-the-proxy.1")
	if status != 200 || header.Get("X-Request-Id") != "from-the-proxy.1" {
		t.Errorf("%d with the id %q", status, header.Get("X-Request-Id"))
	}
	_, header, _ = s.root.send("GET", "/jobs/none?tenant=acme", nil, "X-Request-Id", "two words")
	if id := header.Get("X-Request-Id"); len(id) < 20 {
		t.Errorf("the id %q was taken over, or none was made", id)
	}
	code, page := s.get("/metrics")
	if code != 200 {
		t.Fatal(page)
	}
	for _, want := range []string{
		`cdds_http_request_duration_seconds_count{code="200",route="GET /api/v1/users"} 1`,
		`cdds_http_request_duration_seconds_count{code="404",route="GET /api/v1/jobs/{id}"} 1`,
		`cdds_http_response_bytes_total{route="GET /api/v1/users"}`,
		"cdds_http_requests_in_flight 0",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	log := s.log.String()
	for _, want := range []string{"request_id=from-the-proxy.1 method=GET path=/api/v1/users", "status=200", "subject=", "from=127.0.0.1"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Contains(log, "tenant=*") {
		t.Error("the log has the query of a request")
	}
}

// What has no operation is answered as every other error is.
func TestPathsAndMethodsThatTheAPIDoesNotHaveAreProblems(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	for _, c := range []struct {
		method, path, allow string
		status              int
	}{
		{"GET", "/nothing-here", "", 404},
		{"PATCH", "/jobs", "GET, HEAD, POST", 405},
	} {
		status, header, body := s.root.send(c.method, c.path, nil)
		var problem struct {
			Title  string
			Status int
			Detail string
		}
		if err := json.Unmarshal(body, &problem); err != nil || status != c.status || problem.Status != c.status || problem.Title != http.StatusText(c.status) || problem.Detail == "" {
			t.Errorf("%s %s: %d %s, %v", c.method, c.path, status, body, err)
		}
		if header.Get("Content-Type") != "application/problem+json" || header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %v", c.method, c.path, header)
		}
	}
}
