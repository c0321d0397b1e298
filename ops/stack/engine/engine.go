package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options of Run.
type Options struct {
	// Library is the path of libchdb; see Library.
	Library string
	// Dir is the data directory, created if absent. One process at a time.
	Dir string
	// Addr is the "host:port" to listen on.
	Addr string
	// Memory caps what ClickHouse allocates, in bytes. The process needs
	// about 30 % more. Queries that would exceed it fail with code 241.
	Memory int64
	// Username and Password every query must carry.
	Username, Password string
	// Database is created at the start and is where queries without a
	// database run. ClickHouse's "default" is no place for tables: libchdb
	// resolves unknown names in it to files.
	Database string
	// ConfigFile has ClickHouse's own configuration, in XML. Empty means one of our own in Dir.
	ConfigFile string
	Logger     *slog.Logger
}

const (
	maxQueries  = 64               // statements run at once; a connection and a thread each
	slotWait    = 30 * time.Second // how long one more waits for its turn
	stopTimeout = 8 * time.Second
)

// likeReplicated makes tables compare what is inserted with what was, unless they say not to,
// as replicated tables do: a schema that forgets to say so loses rows here, too.
const likeReplicated = `<clickhouse>
  <merge_tree><non_replicated_deduplication_window>1000</non_replicated_deduplication_window></merge_tree>
</clickhouse>
`

// Engine is ClickHouse in this process.
type Engine struct {
	opts Options
	lib  *chdb
	args []string
	// version and timezone as the server announces them.
	version, timezone string
	slots             chan struct{}

	control *conn // runs KILL; open from start to end, which keeps the engine up
	killer  killer
}

// Run loads ClickHouse, opens its data and serves the HTTP interface until ctx
// ends; then it cancels the queries in flight and closes the data. It returns
// nil if ctx ended it. The library cannot be unloaded, so it is called once per
// process.
func Run(ctx context.Context, opts Options) error {
	e, err := boot(opts)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return err
	}
	queries, cancelQueries := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelQueries()
	srv := &http.Server{
		Handler:           e,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute, // of an insert, which the services of CDDS give up sooner
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    1 << 20, // settings and short queries travel in the URL
		BaseContext:       func(net.Listener) context.Context { return queries },
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn),
	}
	closeUnused(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	opts.Logger.Info("clickhouse ready", "version", e.version, "addr", ln.Addr().String())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	cancelQueries()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		// A connection must not be closed under a running query; the process
		// may end without closing any, as after kill -9.
		opts.Logger.Warn("queries still running at the end", "error", err)
		return nil
	}
	e.control.close()
	return nil
}

// boot starts the engine on its data.
func boot(opts Options) (*Engine, error) {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	lib, err := load(opts.Library)
	if err != nil {
		return nil, err
	}
	e := &Engine{opts: opts, lib: lib, slots: make(chan struct{}, maxQueries)}
	e.args = []string{
		"--path=" + opts.Dir,
		fmt.Sprintf("--max_server_memory_usage=%d", opts.Memory),
		fmt.Sprintf("--mark_cache_size=%d", opts.Memory/16),
		// A mutation of many parts is carried out a few at a time, and this is how long ClickHouse
		// may wait, by chance, between them; a second is its default.
		"--background_processing_pool_task_sleep_seconds_when_no_work_random_part=0.05",
	}
	if opts.ConfigFile == "" {
		opts.ConfigFile = filepath.Join(opts.Dir, "config.xml")
		if err := os.WriteFile(opts.ConfigFile, []byte(likeReplicated), 0o600); err != nil {
			return nil, err
		}
	}
	e.args = append(e.args, "--config-file="+opts.ConfigFile)
	if e.control, err = lib.open(e.args); err != nil {
		return nil, err
	}
	e.killer.control, e.killer.log = e.control, opts.Logger
	if _, err := e.control.run("CREATE DATABASE IF NOT EXISTS "+sqlName(opts.Database), "Null"); err != nil {
		return nil, err
	}
	hello, err := e.control.run("SELECT version(), timezone()", "TabSeparatedRaw")
	if err != nil {
		return nil, err
	}
	e.version, e.timezone, _ = strings.Cut(strings.TrimSpace(string(hello.data)), "\t")
	return e, nil
}

// acquire waits for a slot, so that memory and threads stay bounded whatever
// clients do.
func (e *Engine) acquire(ctx context.Context) (release func(), err error) {
	timeout := time.NewTimer(slotWait)
	defer timeout.Stop()
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	case <-ctx.Done():
		return nil, refuse(codeQueryCancelled, "QUERY_WAS_CANCELLED", "Query was cancelled while waiting for its turn")
	case <-timeout.C:
		return nil, refuse(codeTooManyQueries, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries. Maximum: %d", maxQueries)
	}
}

// session is a connection with a request's settings, marked so that its
// queries can be killed.
type session struct {
	*conn
	e    *Engine
	mark string
}

func (e *Engine) session(r request) (*session, error) {
	cn, err := e.lib.open(e.args)
	if err != nil {
		return nil, &exception{codeLogicalError, "Code: 49. DB::Exception: " + err.Error() + ". (LOGICAL_ERROR)"}
	}
	s := &session{cn, e, rand.Text()}
	database := r.database
	if database == "" {
		database = e.opts.Database
	}
	// implicit_select would run a stray expression as a query; a server has
	// it off.
	settings := append([]param{{"log_comment", s.mark}, {"implicit_select", "0"}}, r.settings...)
	if _, err = cn.run("USE "+sqlName(database), "Null"); err == nil {
		_, err = cn.run(setStatement(settings), "Null")
	}
	if err != nil {
		cn.close()
		return nil, err
	}
	return s, nil
}

// asException is err in ClickHouse's words.
func asException(err error) *exception {
	var ex *exception
	if errors.As(err, &ex) {
		return ex
	}
	return newException(err.Error())
}
