// Command scale fills an embedded stack with many tenants, certificates, jobs and exports,
// and measures what people and programs then wait for: every page and every call that
// reads, the passes of retention, and memory.
//
//	go run ./ops/proof/scale -exports 100000
//	go run ./ops/proof/scale -parts 100000
//	go run ./ops/proof/scale -parts 100000 -told
//	go run ./ops/proof/scale -waiting 10000
//
// History is written as the history role writes it, from exports that are made up; the
// artifacts of the latest are in the bucket. It prints a table, which ops/docs/many.md shows.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/ops/stack"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers"
)

// sizes are how much there is of each.
type sizes struct {
	tenants, jobs, exports, kept, requests int
	// parts, if there are any, is how many parts the one export has that is made instead. told
	// says that no worker makes it: what one would report is published.
	parts int
	told  bool
	// waiting, if there are any, is how many exports wait in one partition instead.
	waiting int
	// dir keeps the stack's data from one run to the next; empty: it is made and removed.
	dir string
	// binary is the cdds that runs; empty: it is built.
	binary string
}

func main() {
	if code, child := stack.ChildMain(os.Args[1:]); child {
		os.Exit(code)
	}
	var n sizes
	flag.IntVar(&n.tenants, "tenants", 10_000, "how many tenants, each with a certificate")
	flag.IntVar(&n.jobs, "jobs", 5_000, "how many jobs; a tenth of them, and of exports, is the first tenant's")
	flag.IntVar(&n.exports, "exports", 1_000_000, "how many exports in history")
	flag.IntVar(&n.kept, "kept", 2_000, "how many of them have artifacts; those of the others have expired")
	flag.IntVar(&n.requests, "requests", 30, "how often each page and call is asked for")
	flag.IntVar(&n.parts, "parts", 0, "make one export of so many parts instead, end to end, and measure what is about it")
	flag.BoolVar(&n.told, "told", false, "with -parts: publish what a worker would report instead of running one; takes minutes where the export takes an hour")
	flag.IntVar(&n.waiting, "waiting", 0, "have so many exports wait in one partition instead, and measure what others notice of them")
	flag.StringVar(&n.dir, "dir", "", "directory of the stack's data: filled by the first run, kept, and measured again by later runs")
	flag.StringVar(&n.binary, "bin", "", "with -parts and -waiting: the cdds to run; built if not named")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, n)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n sizes) error {
	dir := n.dir
	if dir == "" {
		made, err := os.MkdirTemp("", "cdds-scale-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(made) }()
		dir = made
	}
	c := config.Default()
	c.Web.Listen = "127.0.0.1:0"
	c.Metrics.Listen = "127.0.0.1:0"
	if n.waiting > 0 {
		c.Kafka.Partitions = 1
	}
	local, err := app.StartLocal(ctx, dir, c, slog.New(slog.DiscardHandler), func(string) {})
	if err != nil {
		return err
	}
	defer func() { _ = local.Close() }()
	s, err := open(ctx, local.Config)
	if err != nil {
		return err
	}
	defer s.close()
	if n.parts > 0 {
		return s.measureParts(ctx, n, dir, local.Stack.Pids)
	}
	if n.waiting > 0 {
		return s.measureWaiting(ctx, n, dir, local.Stack.Pids)
	}
	filled := filepath.Join(dir, "filled")
	if _, err := os.Stat(filled); err != nil {
		began := time.Now()
		if err := s.fill(ctx, n); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "filled in %s\n", time.Since(began).Round(time.Second))
		if err := os.WriteFile(filled, nil, 0o600); err != nil {
			return err
		}
	}
	r := report{sizes: n}
	if err := s.faces(ctx, n, &r); err != nil {
		return err
	}
	if err := s.passes(ctx, &r); err != nil {
		return err
	}
	r.memory(local.Stack.Pids())
	r.print(os.Stdout)
	return nil
}

// system is the stack's services as the product's own code uses them.
type system struct {
	config    config.Config
	tables    *tables.Database
	client    *kgo.Client
	publisher *producers.Publisher
	warehouse *warehouse.Warehouse
	ledger    *ledger.Ledger
	bucket    *bucket.Bucket
	closers   []func()
}

func open(ctx context.Context, c config.Config) (*system, error) {
	s := &system{config: c}
	options, err := connect.Kafka(c.Kafka, "scale", nil)
	if err != nil {
		return nil, err
	}
	if s.client, err = kgo.NewClient(options...); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.client.Close)
	if s.publisher, err = producers.New(options, "scale", nil); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, s.publisher.Close)
	conn, err := connect.ClickHouse(c.ClickHouse)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() { _ = conn.Close() })
	db := tables.New(conn)
	s.tables, s.warehouse, s.ledger = db, warehouse.New(db), ledger.New(db)
	if s.bucket, err = connect.Bucket(c.S3); err != nil {
		return nil, err
	}
	return s, provision.All(ctx, kadm.NewClient(s.client), db, s.bucket, c, func(string) {})
}

func (s *system) close() {
	for n := len(s.closers) - 1; n >= 0; n-- {
		s.closers[n]()
	}
}
