package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// chdb is libchdb's C interface (chdb.h), bound without cgo. Handles are
// opaque: a connection is a chdb_connection*, a result a chdb_result*.
type chdb struct {
	connect       func(argc int32, argv **byte) uintptr
	closeConn     func(conn uintptr)
	query         func(conn uintptr, q *byte, qLen uintptr, format *byte, formatLen uintptr, names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, n uintptr) uintptr
	streamQuery   func(conn uintptr, q *byte, qLen uintptr, format *byte, formatLen uintptr, names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, n uintptr) uintptr
	streamFetch   func(conn, stream uintptr) uintptr
	streamCancel  func(conn, stream uintptr)
	destroy       func(result uintptr)
	resultBuffer  func(result uintptr) *byte
	resultLength  func(result uintptr) uintptr
	resultError   func(result uintptr) *byte
	rowsWritten   func(result uintptr) uint64
	bytesWritten  func(result uintptr) uint64
	enableSignals func(enabled int32)

	sigaction func(signum int32, act, old *[256]byte) int32
}

// deadlySignals are the ones the Go runtime turns into panics or stack dumps.
// libchdb before 26.7 resets them to SIG_DFL on every connect.
var deadlySignals = []int32{4, 5, 6, 7, 8, 11, 31} // ILL TRAP ABRT BUS FPE SEGV SYS on Linux

// load opens the library at path. It is never unloaded: the engine's threads
// outlive every connection.
func load(path string) (c *chdb, err error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("load the ClickHouse library %s: %w", path, err)
	}
	defer func() { // RegisterLibFunc panics on a missing symbol
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("%s is not a libchdb of version 26.5 or later: %v", path, r)
		}
	}()
	c = new(chdb)
	for name, fn := range map[string]any{
		"chdb_connect":                     &c.connect,
		"chdb_close_conn":                  &c.closeConn,
		"chdb_query_with_params_n":         &c.query,
		"chdb_stream_query_with_params_n":  &c.streamQuery,
		"chdb_stream_fetch_result":         &c.streamFetch,
		"chdb_stream_cancel_query":         &c.streamCancel,
		"chdb_destroy_query_result":        &c.destroy,
		"chdb_result_buffer":               &c.resultBuffer,
		"chdb_result_length":               &c.resultLength,
		"chdb_result_error":                &c.resultError,
		"chdb_result_rows_written":         &c.rowsWritten,
		"chdb_result_bytes_written":        &c.bytesWritten,
		"chdb_set_signal_handlers_enabled": &c.enableSignals,
	} {
		purego.RegisterLibFunc(fn, lib, name)
	}
	if runtime.GOOS == "linux" {
		libc, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
		if err != nil {
			return nil, fmt.Errorf("the embedded ClickHouse needs glibc: %w", err)
		}
		purego.RegisterLibFunc(&c.sigaction, libc, "sigaction")
	}
	c.keepSignals(func() { c.enableSignals(0) })
	return c, nil
}

var signalsMu sync.Mutex

// keepSignals runs f and puts Go's handlers back where f has replaced them: a
// nil dereference must stay a recoverable panic.
func (c *chdb) keepSignals(f func()) {
	if c.sigaction == nil {
		f()
		return
	}
	signalsMu.Lock()
	defer signalsMu.Unlock()
	saved := make([][256]byte, len(deadlySignals))
	for i, sig := range deadlySignals {
		c.sigaction(sig, nil, &saved[i])
	}
	f()
	for i, sig := range deadlySignals {
		var now [256]byte
		if c.sigaction(sig, nil, &now); now != saved[i] {
			c.sigaction(sig, &saved[i], nil)
		}
	}
}

// conn is one chdb connection: one statement at a time, its own settings and
// current database. It is used by one request and closed, so that no setting,
// cancelled query or half-read stream reaches the next request; opening one
// takes about 0.1 ms.
type conn struct {
	c   *chdb
	ptr uintptr // chdb_connection*: points at the handle the calls take
}

// open connects; the arguments of the first connection of the process boot the
// engine (--path and so on), later ones repeat them.
func (c *chdb) open(args []string) (*conn, error) {
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range append([]string{"clickhouse"}, args...) {
		argv = append(argv, cString(a))
	}
	var ptr uintptr
	c.keepSignals(func() { ptr = c.connect(int32(len(argv)), &argv[0]) })
	runtime.KeepAlive(argv)
	if ptr == 0 {
		return nil, errors.New("ClickHouse refused the connection; the reason is in its log")
	}
	return &conn{c: c, ptr: ptr}, nil
}

func (cn *conn) close() { cn.c.closeConn(cn.ptr) }

func (cn *conn) handle() uintptr { return *(*uintptr)(pointer(cn.ptr)) }

// arguments of the two query calls, kept alive until the call is over.
type queryArgs struct {
	query, format         []byte
	names, values         []*byte
	nameLens, valueLens   []uintptr
	namesP, valuesP       **byte
	nameLensP, valueLensP *uintptr
}

func newQueryArgs(query, format string, params []param) *queryArgs {
	a := &queryArgs{query: append([]byte(query), 0), format: append([]byte(format), 0)}
	for _, p := range params {
		a.names = append(a.names, cString(p.name))
		a.nameLens = append(a.nameLens, uintptr(len(p.name)))
		a.values = append(a.values, cString(p.value))
		a.valueLens = append(a.valueLens, uintptr(len(p.value)))
	}
	if len(params) > 0 {
		a.namesP, a.valuesP, a.nameLensP, a.valueLensP = &a.names[0], &a.values[0], &a.nameLens[0], &a.valueLens[0]
	}
	return a
}

// result is the whole output of a statement.
type result struct {
	data         []byte
	rowsWritten  uint64
	bytesWritten uint64
}

// run executes one statement and returns its whole output, in the given format
// unless the statement names one. The error is an *exception.
func (cn *conn) run(query, format string, params ...param) (result, error) {
	a := newQueryArgs(query, format, params)
	r := cn.c.query(cn.handle(), &a.query[0], uintptr(len(query)), &a.format[0], uintptr(len(format)),
		a.namesP, a.nameLensP, a.valuesP, a.valueLensP, uintptr(len(params)))
	runtime.KeepAlive(a)
	return cn.c.take(r)
}

// stream is a statement whose output is fetched chunk by chunk.
type stream struct {
	cn    *conn
	ptr   uintptr
	chunk uintptr // the last result, or 0
	done  bool
}

// stream starts a SELECT. It fails before executing anything for statements
// that cannot be streamed; see notStreamable.
func (cn *conn) stream(query, format string, params ...param) (*stream, error) {
	a := newQueryArgs(query, format, params)
	r := cn.c.streamQuery(cn.handle(), &a.query[0], uintptr(len(query)), &a.format[0], uintptr(len(format)),
		a.namesP, a.nameLensP, a.valuesP, a.valueLensP, uintptr(len(params)))
	runtime.KeepAlive(a)
	if err := cn.c.failure(r); err != nil {
		if r != 0 {
			cn.c.destroy(r)
		}
		return nil, err
	}
	return &stream{cn: cn, ptr: r}, nil
}

// next returns the next chunk, and nil at the end. The chunk is the engine's
// own buffer, some tens of megabytes, and gone with the next call and with close.
func (s *stream) next() ([]byte, error) {
	if s.done {
		return nil, nil
	}
	s.drop()
	s.chunk = s.cn.c.streamFetch(s.cn.handle(), s.ptr)
	err := s.cn.c.failure(s.chunk)
	if err != nil {
		s.done = true
		return nil, err
	}
	data := s.cn.c.output(s.chunk)
	s.done = len(data) == 0
	return data, nil
}

func (s *stream) drop() {
	if s.chunk != 0 {
		s.cn.c.destroy(s.chunk)
		s.chunk = 0
	}
}

// close ends the stream; an unfinished one is cancelled first, or the engine
// keeps running it.
func (s *stream) close() {
	s.drop()
	if !s.done {
		s.cn.c.streamCancel(s.cn.handle(), s.ptr)
	}
	s.cn.c.destroy(s.ptr)
}

// take copies a result out of the engine and destroys it: its buffer is gone
// afterwards.
func (c *chdb) take(r uintptr) (result, error) {
	if r != 0 {
		defer c.destroy(r)
	}
	if err := c.failure(r); err != nil {
		return result{}, err
	}
	return result{
		data:         append([]byte(nil), c.output(r)...),
		rowsWritten:  c.rowsWritten(r),
		bytesWritten: c.bytesWritten(r),
	}, nil
}

// output is the engine's buffer of a result.
func (c *chdb) output(r uintptr) []byte {
	n, buf := c.resultLength(r), c.resultBuffer(r)
	if n == 0 || buf == nil {
		return nil
	}
	return unsafe.Slice(buf, n)
}

func (c *chdb) failure(r uintptr) error {
	if r == 0 {
		return &exception{code: codeLogicalError, text: "Code: 49. DB::Exception: the engine returned nothing. (LOGICAL_ERROR)"}
	}
	if msg := c.resultError(r); msg != nil {
		return newException(goString(msg))
	}
	return nil
}

func cString(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}

func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// pointer turns an address the engine returned into a pointer. It never points
// into Go's heap, so the garbage collector has no interest in it.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }
