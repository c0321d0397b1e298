package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"cdds/ops/stack/engine"
	"cdds/ops/stack/objects"

	"golang.org/x/sync/errgroup"
)

// The children, in the order in which they are stopped: no input, no queries,
// no artifacts.
const (
	Kafka      = "kafka"
	ClickHouse = "clickhouse"
	S3         = "s3"
)

// Options of Start.
type Options struct {
	// Dir holds all data, logs and keys; created if absent.
	Dir string
	// Ports on 127.0.0.1. 0 is a free one, chosen by Start and kept until
	// Close.
	KafkaPort, ClickHousePort, S3Port int
	// EngineMemory caps what ClickHouse allocates, in bytes. The process
	// needs about 30 % more. 0 is 4 GiB.
	EngineMemory int64
	// Logger logs starts, crashes and restarts; nil logs nothing. What
	// the children say goes to Dir/log.
	Logger *slog.Logger
	// Progress, if not nil, is called with a few words on what a slow start is
	// doing: the first one on a machine fetches the ClickHouse library.
	Progress func(string)
}

// Endpoints are where the stack is and how to get in.
type Endpoints struct {
	Kafka      []string // "host:port" of the brokers; plaintext, no authentication
	ClickHouse ClickHouseEndpoint
	S3         S3Endpoint
}

// ClickHouseEndpoint is an HTTP endpoint (clickhouse.HTTP, CompressionNone).
// The password changes with every start.
type ClickHouseEndpoint struct {
	Addr, Username, Password, Database string
}

// S3Endpoint is an endpoint for minio-go with TrailingHeaders false. The keys
// are kept in the data directory.
type S3Endpoint struct {
	Endpoint, AccessKey, SecretKey, Region string
	Secure                                 bool // https
}

// Stack is a running embedded stack. The caller closes it.
type Stack struct {
	endpoints Endpoints
	children  []*child
	log       *slog.Logger
	held      []io.Closer // the directory's lock and the ports, released last

	failed    chan struct{} // closed when a child has been given up
	failOnce  sync.Once
	err       error
	closeOnce sync.Once
	closeErr  error
}

// startTimeout bounds the start of a child; kafka reads all its data, which
// takes a second or two for each gigabyte.
const startTimeout = 90 * time.Second

const defaultEngineMemory = 4 << 30

// Start starts the three children and returns when each answers a real client.
// ctx bounds the start only. It refuses, with an error that says so, a
// directory another process uses and a port that is taken; it wraps
// engine.ErrNoLibrary if ClickHouse cannot be had on this machine. If a child
// does not come up the error holds the end of its log.
func Start(ctx context.Context, opts Options) (_ *Stack, err error) {
	if os.Getenv(childEnv) != "" {
		return nil, errors.New("this process is a child of an embedded stack: its main or TestMain has to call stack.ChildMain first")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.EngineMemory == 0 {
		opts.EngineMemory = defaultEngineMemory
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "log"), 0o700); err != nil {
		return nil, err
	}
	s := &Stack{log: opts.Logger, failed: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	lock, err := lockDir(opts.Dir)
	if err != nil {
		return nil, err
	}
	s.held = append(s.held, lock)
	server, err := givenClickHouse()
	if err != nil {
		return nil, err
	}
	var library string
	if server == nil {
		library, err = engine.Library(ctx, func(what string) {
			opts.Logger.Info(what)
			if opts.Progress != nil {
				opts.Progress(what)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if err := s.plan(opts, library, server); err != nil {
		return nil, err
	}
	for _, c := range s.children {
		c.start(s)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.Healthy(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// plan chooses ports and credentials. server is the ClickHouse of somebody else, if that
// is to be used.
func (s *Stack) plan(opts Options, library string, server *given) error {
	addrs := map[string]string{}
	ports := map[string]int{Kafka: opts.KafkaPort, ClickHouse: opts.ClickHousePort, S3: opts.S3Port}
	for name, port := range ports {
		reserved, port, err := reserve(port)
		if err != nil {
			return fmt.Errorf("port %d for %s: %w; stop what uses it or choose another", ports[name], name, err)
		}
		s.held = append(s.held, reserved)
		ports[name], addrs[name] = port, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	keys, err := loadKeys(filepath.Join(opts.Dir, "s3-keys.json"))
	if err != nil {
		return err
	}
	s.endpoints = Endpoints{
		Kafka:      []string{addrs[Kafka]},
		ClickHouse: ClickHouseEndpoint{Addr: addrs[ClickHouse], Username: "cdds", Password: rand.Text(), Database: "cdds"},
		S3:         S3Endpoint{Endpoint: addrs[S3], AccessKey: keys.AccessKey, SecretKey: keys.SecretKey, Region: objects.Region},
	}
	if server != nil {
		if s.endpoints.ClickHouse, err = server.endpoint(addrs[ClickHouse], opts.Dir); err != nil {
			return err
		}
	}
	e := s.endpoints
	for _, spec := range []struct {
		job   job
		ready func(context.Context) error
	}{
		{job{Name: Kafka, Port: ports[Kafka]}, e.pingKafka},
		{job{
			Name: ClickHouse, Port: ports[ClickHouse], Library: library, Memory: opts.EngineMemory,
			Username: e.ClickHouse.Username, Password: e.ClickHouse.Password, Database: e.ClickHouse.Database,
		}, e.pingClickHouse},
		{job{Name: S3, Port: ports[S3], Username: e.S3.AccessKey, Password: e.S3.SecretKey}, e.pingS3},
	} {
		spec.job.Dir = opts.Dir
		output, err := openLog(filepath.Join(opts.Dir, "log", spec.job.Name+".log"))
		if err != nil {
			return err
		}
		s.children = append(s.children, &child{
			job: spec.job, ready: spec.ready, output: output,
			log:  opts.Logger.With("child", spec.job.Name),
			done: make(chan struct{}), stop: make(chan struct{}),
		})
	}
	return nil
}

// Endpoints returns where the stack is. They stay the same until Close.
func (s *Stack) Endpoints() Endpoints { return s.endpoints }

// Healthy returns when every child answers a real client: at once, or after a
// restart. It fails if ctx ends first or a child has been given up; the error
// names the child and ends with its log.
func (s *Stack) Healthy(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range s.children {
		g.Go(func() error { return c.healthy(ctx) })
	}
	return g.Wait()
}

// Wait returns nil when ctx ends, and an error when a child has crashed too
// often and has been given up.
func (s *Stack) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.failed:
		return s.err
	}
}

// fail gives the stack up.
func (s *Stack) fail(err error) {
	s.failOnce.Do(func() {
		s.err = err
		close(s.failed)
	})
}

// Pids returns the process ids of the children that are running, by name.
func (s *Stack) Pids() map[string]int {
	pids := map[string]int{}
	for _, c := range s.children {
		if pid := c.running(); pid != 0 {
			pids[c.job.Name] = pid
		}
	}
	return pids
}

// Kill kills a child (Kafka, ClickHouse or S3) with SIGKILL and returns when it
// is gone. It is started again as after a crash; see Healthy. For fault
// injection. It fails if the child is not running.
func (s *Stack) Kill(name string) error {
	for _, c := range s.children {
		if c.job.Name == name {
			return c.kill()
		}
	}
	return fmt.Errorf("there is no child %q", name)
}

// Close stops the children one after the other and waits for them; one that
// does not stop in time is killed, which loses nothing. The data stays. It can
// be called more than once.
func (s *Stack) Close() error {
	s.closeOnce.Do(func() {
		for _, c := range s.children {
			s.closeErr = errors.Join(s.closeErr, c.close())
		}
		for i := len(s.held) - 1; i >= 0; i-- {
			s.closeErr = errors.Join(s.closeErr, s.held[i].Close())
		}
	})
	return s.closeErr
}
