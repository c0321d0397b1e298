package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers"
)

// members is how many processes run each role: two where a second one can get in
// the way of the first.
var members = []struct {
	role  string
	count int
}{{"ingest", 2}, {"export", 2}, {"history", 1}, {"erasure", 1}, {"retention", 1}}

// system is the embedded stack, the roles in processes of their own, and clients of
// the harness to look at them from outside.
type system struct {
	dir       string
	local     *app.Local
	kafka     *kgo.Client
	admin     *kadm.Client
	offsets   *connect.Offsets
	conn      driver.Conn
	tables    *tables.Database
	warehouse *warehouse.Warehouse
	ledger    *ledger.Ledger
	bucket    *bucket.Bucket
	publisher *producers.Publisher
	processes []*process
	stopRoles func()
	closers   []func() error
}

// settings are short, so that all of it happens while a run lasts: dead members are
// noticed, steps are given up and asked for again, artifacts expire and are looked for.
// Only what has no history is given time, as long as history may lag behind.
var settings = []string{
	"CDDS_CONFIG=",
	"CDDS_KAFKA_SESSION_TIMEOUT=6s",
	"CDDS_EXPORT_RETRY_FOR=500ms",
	"CDDS_EXPORT_LIFETIME_BY_TENANT=" + fleeting + ":20s",
	"CDDS_RETENTION_EVERY=2s",
	"CDDS_RETENTION_SWEEP_EVERY=15s",
	"CDDS_RETENTION_GRACE=2m",
}

func startSystem(ctx context.Context, o options, dir string, r *report) (_ *system, err error) {
	s := &system{dir: dir, stopRoles: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	logs, err := os.Create(filepath.Join(dir, "stack.log"))
	if err != nil {
		return nil, err
	}
	s.onClose(logs.Close)
	data := filepath.Join(dir, "data")
	c := config.Default()
	c.Stack.EngineMemory = 2 << 30
	s.local, err = app.StartLocal(ctx, data, c, slog.New(slog.NewTextHandler(logs, nil)), func(string) {})
	if err != nil {
		return nil, err
	}
	s.onClose(s.local.Close)
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, s.startRoles(o, r)
}

func (s *system) onClose(do func() error) { s.closers = append(s.closers, do) }

func (s *system) connect(ctx context.Context) error {
	c := s.local.Config
	opts, err := connect.Kafka(c.Kafka, "chaos", nil)
	if err != nil {
		return err
	}
	if s.kafka, err = kgo.NewClient(opts...); err != nil {
		return err
	}
	s.onClose(func() error { s.kafka.Close(); return nil })
	s.admin = kadm.NewClient(s.kafka)
	conn, err := connect.ClickHouse(c.ClickHouse)
	if err != nil {
		return err
	}
	s.onClose(conn.Close)
	s.conn, s.tables = conn, tables.New(conn)
	s.warehouse, s.ledger = warehouse.New(s.tables), ledger.New(s.tables)
	if s.bucket, err = connect.Bucket(c.S3); err != nil {
		return err
	}
	s.offsets = connect.NewOffsets(consumers.Kafka(s.kafka), consumers.NewSettler(consumers.SettlerOptions{
		Brokers: consumers.Kafka(s.kafka), Decisions: pipeline.Incarnations{Store: s.bucket}, Name: "chaos",
	}))
	if s.publisher, err = producers.New(opts, "chaos", nil); err != nil {
		return err
	}
	s.onClose(func() error { s.publisher.Close(); return nil })
	return provision.All(ctx, s.admin, s.tables, s.bucket, c, func(string) {})
}

// startRoles starts every role with the environment another shell would use.
func (s *system) startRoles(o options, r *report) error {
	endpoints, err := os.ReadFile(filepath.Join(s.dir, "data", "run", "cdds.env"))
	if err != nil {
		return err
	}
	env := append(os.Environ(), strings.Fields(string(endpoints))...)
	env = append(env, settings...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	s.stopRoles = func() { cancel(); running.Wait() }
	for _, m := range members {
		for n := range m.count {
			name := fmt.Sprintf("%s-%d", m.role, n+1)
			log, err := os.Create(filepath.Join(s.dir, name+".log"))
			if err != nil {
				return err
			}
			s.onClose(log.Close)
			p := &process{name: name, role: m.role, binary: o.binary, env: env, log: log, report: r}
			s.processes = append(s.processes, p)
			running.Go(func() { p.run(ctx) })
		}
	}
	return nil
}

// close ends everything, roles first.
func (s *system) close() error {
	s.stopRoles()
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// logged is the last lines that the roles logged about an export, by time.
func (s *system) logged(exportID string) string {
	var lines []string
	for _, p := range s.processes {
		content, err := os.ReadFile(p.log.Name())
		if err != nil {
			lines = append(lines, err.Error())
			continue
		}
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, exportID) {
				lines = append(lines, "    "+strings.TrimSpace(line)+" "+p.name)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines[max(0, len(lines)-loggedLines):], "\n")
}

const loggedLines = 60
