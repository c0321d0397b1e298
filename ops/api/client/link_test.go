package client

import (
	"net/http"
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
