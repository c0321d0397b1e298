package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers"
	"cdds/schemas"
)

// system is the embedded stack in a process of its own, with clients of the harness.
type system struct {
	run       *run
	config    config.Config
	env       []string
	kafka     *kgo.Client
	admin     *kadm.Client
	conn      driver.Conn
	tables    *tables.Database
	warehouse *warehouse.Warehouse
	publisher *producers.Publisher
	stack     *process
	closers   []func()
}

// withSystem starts a system, does work with it and ends it.
func (r *run) withSystem(ctx context.Context, work func(context.Context, *run) error) error {
	data, err := os.MkdirTemp(r.dir, "stack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	s := &system{run: r}
	defer func() {
		for i := len(s.closers) - 1; i >= 0; i-- {
			s.closers[i]()
		}
	}()
	stack, err := r.start(ctx, "stack", os.Environ(), "--data-dir", data, "--roles", "none")
	if err != nil {
		return err
	}
	s.stack = stack
	s.closers = append(s.closers, stack.stop)
	if err := s.connect(ctx, data); err != nil {
		return err
	}
	r.system = s
	return work(ctx, r)
}

func (s *system) connect(ctx context.Context, data string) error {
	endpoints, err := os.ReadFile(filepath.Join(data, "run", "cdds.env"))
	if err != nil {
		return err
	}
	s.env = append(os.Environ(), strings.Fields(string(endpoints))...)
	if s.config, err = config.Load("", s.env); err != nil {
		return err
	}
	opts, err := connect.Kafka(s.config.Kafka, "bench", nil)
	if err != nil {
		return err
	}
	if s.kafka, err = kgo.NewClient(opts...); err != nil {
		return err
	}
	s.closers = append(s.closers, s.kafka.Close)
	s.admin = kadm.NewClient(s.kafka)
	if s.conn, err = connect.ClickHouse(s.config.ClickHouse); err != nil {
		return err
	}
	s.closers = append(s.closers, func() { _ = s.conn.Close() })
	s.tables = tables.New(s.conn)
	s.warehouse = warehouse.New(s.tables)
	store, err := connect.Bucket(s.config.S3)
	if err != nil {
		return err
	}
	if s.publisher, err = producers.New(opts, "bench", nil); err != nil {
		return err
	}
	s.closers = append(s.closers, s.publisher.Close)
	return provision.All(ctx, s.admin, s.tables, store, s.config, func(string) {})
}

// role starts one role in a process of its own. The caller stops it.
func (s *system) role(ctx context.Context, name string) (*process, error) {
	return s.run.start(ctx, name, s.env, "--roles", name)
}

// exec runs a statement.
func (s *system) exec(ctx context.Context, sql string) error {
	if err := s.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", strings.Fields(sql)[0], err)
	}
	return nil
}

// number runs a query for one number.
func (s *system) number(ctx context.Context, sql string) (n uint64, err error) {
	err = s.conn.QueryRow(ctx, sql).Scan(&n)
	return n, err
}

// process is `cdds up` with some role.
type process struct {
	name    string
	cmd     *exec.Cmd
	log     *os.File
	metrics string // base URL
}

// startWithin is how long a process may take until it is ready.
const startWithin = 3 * time.Minute

func (r *run) start(ctx context.Context, name string, env []string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(r.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(r.binary, append([]string{"up", "--json", "--log-level", "warn"}, args...)...)
	cmd.Env, cmd.Stderr = append(env, "CDDS_CONFIG="), log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: cmd, log: log}
	ready := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var line struct {
				Ready   bool   `json:"ready"`
				Metrics string `json:"metrics"`
			}
			if schemas.Read(lines.Bytes(), &line) == nil && line.Ready {
				ready <- line.Metrics
			}
		}
	}()
	select {
	case p.metrics = <-ready:
		return p, nil
	case <-time.After(startWithin):
		err = errors.New("was not ready in time")
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	tail, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("%s: %w: %s", name, err, tail[max(0, len(tail)-2000):])
}

// stop ends the process in order and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	timer.Stop()
	_ = p.log.Close()
}

// profile keeps what the process spends its CPU on in the next five seconds, if
// profiles are wanted.
func (r *run) profile(p *process) {
	if r.profiles == "" {
		return
	}
	go func() {
		response, err := http.Get(p.metrics + "/debug/pprof/profile?seconds=5")
		if err != nil {
			say("profile of %s: %v", p.name, err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(r.profiles, p.name+".pprof"), content, 0o600)
		}
		if err != nil {
			say("profile of %s: %v", p.name, err)
		}
	}()
}

// metric is the value of one series the process exposes, named with its labels.
func (p *process) metric(series string) (float64, error) {
	response, err := http.Get(p.metrics + "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), series+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s does not expose %s", p.name, series)
}

// clockTicks is USER_HZ of proc(5): 100 on every Linux that Go runs on.
const clockTicks = 100

// cpu is the seconds of CPU the process has used.
func (p *process) cpu() float64 { return cpuOf(p.cmd.Process.Pid) }

// service is the CPU seconds of one service of the stack: clickhouse, kafka or s3.
func (s *system) service(name string) float64 {
	pid := s.stack.cmd.Process.Pid
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0
	}
	for _, file := range children {
		content, _ := os.ReadFile(file)
		for _, child := range strings.Fields(string(content)) {
			command, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if strings.Contains(string(command), "__stack\x00"+name) {
				var id int
				_, _ = fmt.Sscan(child, &id)
				return cpuOf(id)
			}
		}
	}
	return 0
}

func cpuOf(pid int) float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(content), ") ") // the command's name may hold blanks
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	var user, kernel float64
	_, _ = fmt.Sscan(fields[11], &user)
	_, _ = fmt.Sscan(fields[12], &kernel)
	return (user + kernel) / clockTicks
}

// peak is the largest resident size so far in MiB.
func (p *process) peak() float64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(content), "VmHWM:")
	var kib float64
	_, _ = fmt.Sscan(after, &kib)
	return kib / 1024
}
