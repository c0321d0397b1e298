package engine

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// maxText bounds the text of a query, and with it the tokens it is cut into.
// ClickHouse itself refuses more than
// max_query_size (256 KiB) outside of the rows of VALUES.
const maxText = 4 << 20

// ServeHTTP answers GET /ping and queries at /, as a ClickHouse server does on
// port 8123.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ping":
		_, _ = io.WriteString(w, "Ok.\n")
		return
	case r.URL.Path != "/":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		http.Error(w, "the ClickHouse interface takes GET and POST", http.StatusMethodNotAllowed)
		return
	}
	a := &answer{w: w}
	defer func() {
		if p := recover(); p != nil {
			e.opts.Logger.Error("panic in a query", "panic", p, "stack", string(debug.Stack()))
			a.fail(refuse(codeLogicalError, "LOGICAL_ERROR", "The embedded ClickHouse failed: %v", p))
		}
		a.close()
	}()
	if !e.authorized(r) {
		a.fail(refuse(codeAuthFailed, "AUTHENTICATION_FAILED", "Authentication failed: password is incorrect, or there is no user with such name"))
		return
	}
	if err := e.query(a, r); err != nil {
		a.fail(asException(err))
	}
}

// authorized checks basic authentication or ClickHouse's own headers, in the
// same time whatever is wrong.
func (e *Engine) authorized(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	if !ok {
		user, password = r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
	}
	given := sha256.Sum256([]byte(user + "\x00" + password))
	want := sha256.Sum256([]byte(e.opts.Username + "\x00" + e.opts.Password))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// query runs one request. An error is reported by the caller, with a status if
// nothing has been sent yet and in the body otherwise.
func (e *Engine) query(a *answer, r *http.Request) error {
	req, err := parseRequest(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet { // as a server: GET changes nothing
		req.settings = append(req.settings, param{"readonly", "2"})
	}
	body, err := decoded(r)
	if err != nil {
		return err
	}
	sql := req.query
	if sql == "" {
		text, err := io.ReadAll(io.LimitReader(body, maxText+1))
		if err != nil {
			return refuse(codeBadArguments, "BAD_ARGUMENTS", "Cannot read the query: %v", err)
		}
		if len(text) > maxText {
			return refuse(codeSyntaxError, "SYNTAX_ERROR", "The query is longer than %d bytes; send the data of an INSERT as the request body", maxText)
		}
		sql = string(text)
	}
	if req.hello && sql == helloQuery {
		a.begin("Native", req)
		_, err := a.Write(e.hello())
		return err
	}
	st, err := parseStatement(sql)
	if err != nil {
		return err
	}
	if req.query != "" && !st.insert && !empty(body) {
		return refuse(codeNotImplemented, "NOT_IMPLEMENTED", "Only an INSERT takes data from the request body")
	}
	if st.insert && req.query == "" {
		body = strings.NewReader("") // the body was the query
	}
	a.gzip = req.compressed && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")

	release, err := e.acquire(r.Context())
	if err != nil {
		return err
	}
	defer release()
	s, err := e.session(req)
	if err != nil {
		return err
	}
	defer s.close()
	defer s.killWhenDone(r.Context())()
	switch {
	case st.insert:
		return s.insert(r.Context(), a, st, req, body)
	case st.rows && !req.whole:
		return s.selectRows(r.Context(), a, st, req)
	}
	return s.runWhole(r.Context(), a, st.sql, req)
}

// cancelled is an error once the query was asked to be killed: libchdb may end one that
// was as if it had succeeded, with some of its rows or none.
func cancelled(ctx context.Context) error {
	if ctx.Err() != nil {
		return refuse(codeQueryCancelled, "QUERY_WAS_CANCELLED", "Query was cancelled")
	}
	return nil
}

// decoded is the request's body, uncompressed.
func decoded(r *http.Request) (io.Reader, error) {
	switch encoding := r.Header.Get("Content-Encoding"); {
	case strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/"):
		return nil, refuse(codeNotImplemented, "NOT_IMPLEMENTED", "External tables are not supported by the embedded ClickHouse")
	case encoding == "" || encoding == "identity":
		return r.Body, nil
	case encoding == "gzip":
		zr, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, refuse(codeBadArguments, "BAD_ARGUMENTS", "The body is not gzip: %v", err)
		}
		return zr, nil
	default:
		return nil, refuse(codeNotImplemented, "NOT_IMPLEMENTED", "Content-Encoding %q is not supported by the embedded ClickHouse; use gzip or none", encoding)
	}
}

func empty(body io.Reader) bool {
	n, _ := io.ReadFull(body, make([]byte, 1))
	return n == 0
}

// selectRows streams the rows of a query: at most one block of them is in Go's
// memory, and a slow reader slows the engine.
func (s *session) selectRows(ctx context.Context, a *answer, st statement, req request) error {
	rows, err := s.stream(st.sql, req.format, req.params...)
	if err != nil {
		if notStreamable(err) {
			return s.runWhole(ctx, a, st.sql, req)
		}
		return err
	}
	defer rows.close()
	chunk, err := rows.next() // before the status is sent, so that early errors have one
	if err = cmp.Or(err, cancelled(ctx)); err != nil {
		return err
	}
	a.begin(formatOf(st, req), req)
	if len(chunk) == 0 && req.format == "Native" && st.format == "" {
		_, err := a.Write(s.emptyNative(st.sql, req))
		return err
	}
	for len(chunk) > 0 {
		if _, err := a.Write(chunk); err != nil {
			return nil // the client has left
		}
		chunk, err = rows.next()
		if err = cmp.Or(err, cancelled(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// runWhole runs a statement that cannot be streamed, or whose client wants to
// know that it succeeded before it sees any of it.
func (s *session) runWhole(ctx context.Context, a *answer, sql string, req request) error {
	r, err := s.run(sql, req.format, req.params...)
	if err = cmp.Or(err, cancelled(ctx)); err != nil {
		return err
	}
	a.summary(r)
	a.begin(req.format, req)
	_, err = a.Write(r.data)
	return err
}

func formatOf(st statement, req request) string {
	if st.format != "" {
		return st.format
	}
	return req.format
}

// answer is the response to a query. Until begin an error has a status of its
// own; afterwards it goes into the body, in the frame clients look for.
type answer struct {
	w     http.ResponseWriter
	zw    *gzip.Writer
	gzip  bool
	begun bool
	ended bool
	tag   string
}

func (a *answer) begin(format string, req request) {
	h := a.w.Header()
	a.tag = rand.Text()[:16]
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
	h.Set("X-ClickHouse-Format", format)
	h.Set("Content-Type", "application/octet-stream")
	if req.queryID != "" {
		h.Set("X-ClickHouse-Query-Id", req.queryID)
	}
	if a.gzip {
		h.Set("Content-Encoding", "gzip")
		a.zw = gzip.NewWriter(a.w)
	}
	a.begun = true
}

// summary reports how much a statement wrote, before begin.
func (a *answer) summary(r result) {
	a.w.Header().Set("X-ClickHouse-Summary", fmt.Sprintf(`{"written_rows":"%d","written_bytes":"%d"}`, r.rowsWritten, r.bytesWritten))
}

// Write sends p at once: a block of a slow query should not wait for the next.
func (a *answer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if a.zw != nil {
		return a.zw.Write(p)
	}
	n, err := a.w.Write(p)
	if err == nil && len(p) > 4096 {
		err = http.NewResponseController(a.w).Flush()
	}
	return n, err
}

// fail reports an error; ClickHouse's WriteBufferFromHTTPServerResponse.cpp is
// the reference for the frame.
func (a *answer) fail(ex *exception) {
	if a.ended {
		return
	}
	a.ended = true
	if a.begun {
		fmt.Fprintf(a, "\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", a.tag, ex.text, len(ex.text)+1, a.tag)
		return
	}
	h := a.w.Header()
	h.Set("X-ClickHouse-Exception-Code", fmt.Sprint(ex.code))
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	a.w.WriteHeader(ex.status())
	_, _ = io.WriteString(a.w, ex.text+"\n") //nolint:gosec // told to clients of SQL as text/plain
}

func (a *answer) close() {
	if a.zw != nil {
		_ = a.zw.Close() // fails if the client has left
	}
}

// stopReading makes a blocked read of the request's body fail, after a grace
// in which the client may finish sending: it looks at the answer only then.
func (a *answer) stopReading(grace time.Duration) {
	err := http.NewResponseController(a.w).SetReadDeadline(time.Now().Add(grace))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return // the connection is gone, and the read with it
	}
}
