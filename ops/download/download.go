// Package download streams stored files to HTTP clients: what the API and the console
// have in common and neither owns.
package download

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"cdds/schemas"
)

// Serve streams a file, or the ranges of it a request asks for, and closes
// content. A reader that takes nothing for a minute is given up.
func Serve(w http.ResponseWriter, r *http.Request, file schemas.Artifact, content io.ReadSeekCloser) {
	defer func() { _ = content.Close() }()
	header := w.Header()
	header.Set("Content-Type", contentType(file))
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	header.Set("ETag", `"`+file.SHA256+`"`)
	http.ServeContent(&patient{ResponseWriter: w, control: http.NewResponseController(w)}, ranged(r), "", file.CreatedAt.Time, content)
}

// ranged is the request as http.ServeContent reads it, which answers 416 to units it does not
// know, knows bytes in lower case only, and cuts HEAD too. By RFC 9110, section 14.2, ranges of
// other units and of other methods than GET are ignored.
func ranged(r *http.Request) *http.Request {
	unit, ranges, _ := strings.Cut(r.Header.Get("Range"), "=")
	r = r.Clone(r.Context())
	if r.Method == http.MethodGet && strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		r.Header.Set("Range", "bytes="+ranges)
	} else {
		r.Header.Del("Range")
	}
	return r
}

func contentType(a schemas.Artifact) string {
	if a.Kind == "manifest" {
		return "application/json"
	}
	return "application/octet-stream"
}

// patient gives each write its own time, so that a download may last as long as it
// gets on. What http.ServeContent refuses, which is a range that is not there, becomes a
// problem like every other error.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	refused bool
}

func (p *patient) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		p.ResponseWriter.WriteHeader(status)
		return
	}
	p.refused = true
	header := p.Header()
	header.Del("Content-Disposition")
	header.Set("Content-Type", "application/problem+json")
	p.ResponseWriter.WriteHeader(status)
	_ = json.NewEncoder(p.ResponseWriter).Encode(map[string]any{
		"title": http.StatusText(status), "status": status, "detail": "the file has no such range; Content-Range says how long it is",
	})
}

func (p *patient) Write(b []byte) (int, error) {
	if p.refused { // it is text
		return len(b), nil
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(time.Minute))
	return p.ResponseWriter.Write(b)
}
