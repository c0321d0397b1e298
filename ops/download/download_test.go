package download_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cdds/ops/download"
	"cdds/schemas"
)

// stored is a file in memory.
type stored struct{ *bytes.Reader }

func (stored) Close() error { return nil }

// TestRangesAreThoseOfRFC9110: a range in an unknown unit, or of another method than GET, is
// ignored; a range that cannot be satisfied is an error.
func TestRangesAreThoseOfRFC9110(t *testing.T) {
	content := []byte(strings.Repeat("0123456789", 10))
	tag := `"abc"`
	made := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		method, ranges, condition string
		status                    int
		body, of                  string
	}{
		{"GET", "bytes=10-19", "", 206, "0123456789", "bytes 10-19/100"},
		{"GET", "BYTES=98-", "", 206, "89", "bytes 98-99/100"},
		{"GET", "bytes=-3", "", 206, "789", "bytes 97-99/100"},
		{"GET", "bytes=95-4000", "", 206, "56789", "bytes 95-99/100"},
		{"GET", "bytes=0-0", tag, 206, "0", "bytes 0-0/100"},
		{"GET", "bytes=0-0", `W/` + tag, 200, string(content), ""}, // a weak one proves nothing
		{"GET", "bytes=0-0", `"other"`, 200, string(content), ""},
		{"GET", "bytes=0-0", made.Format(http.TimeFormat), 206, "0", "bytes 0-0/100"},
		{"GET", "items=0-4", "", 200, string(content), ""},
		{"GET", "0-4", "", 200, string(content), ""},
		{"GET", "bytes=0-60,0-60", "", 200, string(content), ""}, // more than the file
		{"GET", "bytes=100-", "", 416, "", "bytes */100"},
		{"GET", "bytes=9-1", "", 416, "", ""},
		{"HEAD", "bytes=10-19", "", 200, "", ""},
		{"HEAD", "bytes=100-", "", 200, "", ""},
	} {
		r := httptest.NewRequest(c.method, "/file", nil)
		r.Header.Set("Range", c.ranges)
		if c.condition != "" {
			r.Header.Set("If-Range", c.condition)
		}
		w := httptest.NewRecorder()
		download.Serve(w, r, schemas.Artifact{Name: "part.p7m", SHA256: "abc", CreatedAt: schemas.TimeOf(made)}, stored{bytes.NewReader(content)})
		body := w.Body.String()
		if w.Code == 416 {
			var problem struct{ Status int }
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != 416 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s is refused with %s", c.method, c.ranges, body)
			}
			body = ""
		}
		if w.Code != c.status || body != c.body || w.Header().Get("Content-Range") != c.of || w.Header().Get("ETag") != tag && w.Code != 416 {
			t.Errorf("%s %s, if %s: %d, %q, Content-Range %q", c.method, c.ranges, c.condition, w.Code, body, w.Header().Get("Content-Range"))
		}
	}
}

func TestSeveralRangesAreSentInParts(t *testing.T) {
	r := httptest.NewRequest("GET", "/file", nil)
	r.Header.Set("Range", "bytes=0-1, 4-5,-2")
	w := httptest.NewRecorder()
	download.Serve(w, r, schemas.Artifact{Name: "part.p7m", SHA256: "abc"}, stored{bytes.NewReader([]byte("0123456789"))})
	_, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if w.Code != 206 || err != nil {
		t.Fatalf("%d, %v, %v", w.Code, w.Header(), err)
	}
	var got []string
	for parts := multipart.NewReader(w.Body, params["boundary"]); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Header.Get("Content-Range")+" "+string(b))
	}
	if want := "bytes 0-1/10 01;bytes 4-5/10 45;bytes 8-9/10 89"; strings.Join(got, ";") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}
