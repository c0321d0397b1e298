package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"cdds/ops/api"
)

var update = flag.Bool("update", false, "write schemas/json/openapi.json anew")

const committed = "../../schemas/json/openapi.json"

func TestTheCommittedDocumentIsTheOneServed(t *testing.T) {
	served, err := api.New(api.Options{}).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, served, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	if *update {
		if err := os.WriteFile(committed, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, indented.Bytes()) {
		t.Error("schemas/json/openapi.json is not what is served; `go test ./ops/api -update` writes it anew")
	}
}

func TestTheDocumentCanBeReadWithoutAnythingFromElsewhere(t *testing.T) {
	w := httptest.NewRecorder()
	api.New(api.Options{}).Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", api.Prefix+"/docs", nil))
	page := w.Body.String()
	if w.Code != 200 || !strings.Contains(page, `id="create-export"`) || !strings.Contains(page, `id="schema-Export"`) {
		t.Fatalf("%d: %.300s", w.Code, page)
	}
	for _, foreign := range []string{"<script", "src=", "http://", "https://", "@import"} {
		if strings.Contains(page[:strings.Index(page, `<section id="schemas">`)], foreign) {
			t.Errorf("the page holds %s", foreign)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy is %q", csp)
	}
}
