package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNoErrorShowsTheLinkOfAnObject(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1/artifacts/acme?X-Amz-Signature=0815", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err == nil {
		_ = answer.Body.Close()
		t.Fatal("somebody answers at port 1")
	}
	if said := withoutLink(err).Error(); strings.Contains(said, "0815") || !strings.Contains(said, "127.0.0.1:1") {
		t.Errorf("it says %s", said)
	}
}

func TestWhatIsNotFoundIsNamed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"status": 404, "title": "Not Found", "detail": "not found"}`))
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL, "token")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Export(t.Context(), "acme", "winter")
	if err == nil || err.Error() != "the server says: not found: exports/winter of tenant acme (404)" {
		t.Errorf("it says %v", err)
	}
}
