package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cdds/ops/api"
)

func TestABodyThatTwoReadersWouldReadDifferentlyIsRefusedByName(t *testing.T) {
	d := newDesk(t, "readers", 0, 0)
	const asked = `"entity":"interaction","from":"2026-09-01T00:00:00Z","to":"2026-09-02T00:00:00Z","recipients":[{"fingerprint":"x"}]`
	for body, want := range map[string]string{
		`{` + asked + `,"entity":"contact"}`:                       `member \"/entity\" appears twice`,
		`{` + asked + `,"attributes":{"region":"a","region":"b"}}`: `member \"/attributes/region\" appears twice`,
		`{` + asked + `,"attributes":{"region":"north\ud83d"}}`:    `member \"/attributes/region\" is not Unicode text`,
		`{` + asked + `,"Entity":"contact"}`:                       `member \"/Entity\" must be written \"entity\"`,
		`{` + asked + `} {}`:                                       `not valid JSON`,
		"{" + asked + ",\"queues\":[\"\xff\"]}":                    `not valid UTF-8`,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"/exports", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+d.token)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest && w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
}
