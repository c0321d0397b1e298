package cli_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAUsedUpQuotaEndsWithItsOwnExitCodeAndSaysWhenItIsFreeAgain(t *testing.T) {
	for _, of := range []struct {
		name, policy string
		code         int
		said         string
	}{
		{"a quota", `"bytes";q=1000`, 7, "try again in 5 hours"},
		{"too many requests", `"requests";q=100;w=5`, 5, "too much"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "17000")
			w.Header().Set("RateLimit-Policy", of.policy)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"title": "Too Many Requests", "status": 429, "detail": "too much"}`))
		}))
		defer server.Close()
		cmd := command(t, "job", "run", "nightly", "--tenant", "acme", "--server", server.URL)
		cmd.Env = append(cmd.Env, "CDDS_TOKEN=cdds_some", "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); err == nil || code != of.code || !strings.Contains(string(out), of.said) {
			t.Errorf("%s ends with %d and says %s", of.name, code, out)
		}
	}
}
