//go:build !receiver

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/schemas"
)

// aPage is how many parts the server of the test lists at once.
const aPage = 7

// listed is a server with an export of some parts, each file of which holds its name.
type listed struct {
	http.Handler
	parts []schemas.Receipt
	// fetched counts the files that were fetched, behind is how many parts that were listed were not
	// when more were asked for.
	fetched, behind atomic.Int64
}

func newListed(parts int) *listed {
	l, mux := &listed{}, http.NewServeMux()
	sum := func(name string) string {
		sum := sha256.Sum256([]byte(name))
		return hex.EncodeToString(sum[:])
	}
	e := schemas.Export{
		TenantID: "acme", ExportID: "x1", State: schemas.Completed, Request: &schemas.ExportRequest{TenantID: "acme", ExportID: "x1", Entity: schemas.EntityContact},
		Completion: &schemas.Completion{ManifestSHA256: sum(schemas.ManifestName), SignatureSHA256: sum(schemas.SignatureName)},
	}
	for n := 1; n <= parts; n++ {
		part := schemas.Part{Number: n}
		l.parts = append(l.parts, schemas.Receipt{Part: part, SealedSHA256: sum(schemas.PartName(schemas.EntityContact, "x1", part))})
	}
	e.Done = schemas.Total(l.parts)
	answer := func(w http.ResponseWriter, of any) {
		b, err := schemas.Encode(of)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write(b)
	}
	mux.HandleFunc("GET "+api.Prefix+"/exports/x1", func(w http.ResponseWriter, _ *http.Request) {
		e := e
		e.Parts = l.parts[:min(aPage, len(l.parts))]
		answer(w, e)
	})
	mux.HandleFunc("GET "+api.Prefix+"/exports/x1/parts", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		l.behind.Store(max(l.behind.Load(), int64(after)-l.fetched.Load()))
		answer(w, map[string]any{"items": l.parts[min(after, len(l.parts)):min(after+aPage, len(l.parts))]})
	})
	mux.HandleFunc("GET "+api.Prefix+"/exports/x1/artifacts/{name}", func(w http.ResponseWriter, r *http.Request) {
		l.fetched.Add(1)
		_, _ = io.WriteString(w, path.Base(r.URL.Path))
	})
	l.Handler = mux
	return l
}

// downloaded downloads the export into a new directory.
func (l *listed) downloaded(t *testing.T) (dir string, err error) {
	t.Helper()
	server := httptest.NewServer(l)
	defer server.Close()
	c, err := client.New(server.URL, "token")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	s := &session{out: terminal{io.Discard}, err: terminal{io.Discard}, quiet: true}
	return dir, storedThere(t.Context(), c, "acme", "x1", func(e storedExport) error { return s.download(t.Context(), e, dir) })
}

func TestADownloadHoldsAPageOfTheParts(t *testing.T) {
	l := newListed(5*aPage + 2)
	dir, err := l.downloaded(t)
	files, _ := os.ReadDir(dir)
	if err != nil || len(files) != len(l.parts)+2 {
		t.Fatalf("%d files of %d parts: %v", len(files), len(l.parts), err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(path.Join(dir, f.Name())); err != nil || string(b) != f.Name() {
			t.Errorf("%s holds %q: %v", f.Name(), b, err)
		}
	}
	if behind := l.behind.Load(); behind > downloadsAtOnce {
		t.Errorf("more parts were asked for with %d of those listed to come", behind)
	}
}

func TestADownloadOfAnExportWhosePartsAreNotAllListedFails(t *testing.T) {
	for what, lose := range map[string]func(*listed){
		"history lists 10 of the 16 parts of export x1":              func(l *listed) { l.parts = l.parts[:10] },
		"history lists 0 of the 16 parts of export x1":               func(l *listed) { l.parts = nil },
		"history lists part 9 of export x1 where part 8 is expected": func(l *listed) { l.parts = append(l.parts[:7:7], l.parts[8:]...) },
		"history lists part 3 of export x1 where part 2 is expected": func(l *listed) { l.parts = append(l.parts[:1:1], l.parts[2:]...) },
	} {
		l := newListed(2*aPage + 2)
		lose(l)
		if dir, err := l.downloaded(t); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("into %s: %v, not that %s", dir, err, what)
		} else if _, err := os.Stat(path.Join(dir, schemas.ManifestName)); err == nil {
			t.Errorf("%s, and there is a manifest", what)
		}
	}
}
