// Package app wires the roles of CDDS to their services and runs them: one errgroup,
// teardown in reverse order of acquisition. It never touches signals or flags, so
// that tests run the same app in process.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/consumers/definitions"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/tracing"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers"
)

// Options of an App.
type Options struct {
	// Config must pass its Check.
	Config config.Config
	// Roles to run, of Roles().
	Roles []string
	// Name tells this process apart in status events, such as host and process id.
	Name   string
	Logger *slog.Logger
	// Registry takes all metrics.
	Registry *prometheus.Registry
	// Now is the clock of retention and schedule; nil means time.Now.
	Now func() time.Time
	// FirstUser is called once when the web role made the first user: its name and a
	// one-time password, which is kept nowhere. nil throws it away.
	FirstUser func(name, password string)
	// Prepare makes the services ready for the roles. They begin when it returns; until
	// then /healthz and /readyz are served. nil does nothing.
	Prepare func(context.Context) error
}

// ErrNoStack reports that no services are configured and that this build leaves the
// embedded stack out.
var ErrNoStack = errors.New("no services are configured, and this build has no embedded stack")

// App is a set of roles with their clients. Run it once.
type App struct {
	Options
	roles     []role
	traces    *tracing.Traces // nil where nothing is traced
	client    *kgo.Client
	publisher *producers.Publisher
	conn      driver.Conn
	tables    *tables.Database
	warehouse *warehouse.Warehouse
	ledger    *ledger.Ledger
	bucket    *bucket.Bucket
	settler   *consumers.Settler
	offsets   *connect.Offsets
	// definitions is there once a role asked for it.
	definitions *definitions.Definitions
	listener    net.Listener
	web         *web // there with the web role
	up          *prometheus.GaugeVec
	stops       []cleanup
	running     atomic.Bool // the roles have begun
	stopping    atomic.Bool // they are about to end
}

// cleanup is a named step of teardown.
type cleanup struct {
	name string
	do   func() error
}

// New connects and wires; it starts nothing. The caller calls Run, which also
// closes, or Close.
func New(o Options) (*App, error) {
	a := &App{Options: o}
	if err := a.setup(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// setup is one straight line rather than a chain of helpers: nearly every step needs
// what the ones before made, and each registers its own teardown.
func (a *App) setup() error {
	if err := a.Config.Check(); err != nil {
		return err
	}
	var err error
	if a.traces, err = tracing.Start(a.Config.Tracing, tracing.Process{Name: a.Name, Roles: a.Options.Roles}, a.Logger); err != nil {
		return err
	}
	a.onStop("traces", a.traces.Close)
	a.up = newUp()
	if err := a.Registry.Register(a.up); err != nil {
		return err
	}
	a.Logger = a.traces.Logger(a.Logger)
	opts, err := connect.Kafka(a.Config.Kafka, "admin", a.Registry)
	if err != nil {
		return err
	}
	if a.client, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	a.onStop("kafka client", func() error { a.client.Close(); return nil })

	if opts, err = connect.Kafka(a.Config.Kafka, "publisher", a.Registry); err != nil {
		return err
	}
	if a.publisher, err = producers.New(append(opts, a.traces.Kafka("publisher")...), "cdds/"+a.Name, a.Registry); err != nil {
		return err
	}
	// It flushes: it must outlive the roles, which publish while they drain.
	a.onStop("publisher", func() error { a.publisher.Close(); return nil })

	if a.conn, err = connect.ClickHouse(a.Config.ClickHouse); err != nil {
		return err
	}
	a.onStop("clickhouse", a.conn.Close)
	a.tables = tables.New(a.conn).OnCluster(a.Config.ClickHouse.Cluster)
	a.warehouse, a.ledger = warehouse.New(a.tables), ledger.New(a.tables)

	if a.bucket, err = connect.Bucket(a.Config.S3); err != nil {
		return err
	}
	if err := a.settles(); err != nil {
		return err
	}

	for _, name := range a.Options.Roles {
		build, ok := builders[name]
		if !ok {
			return fmt.Errorf("role %q is unknown; roles are %s", name, strings.Join(Roles(), ", "))
		}
		r, err := build(a)
		if err != nil {
			return fmt.Errorf("role %s: %w", name, err)
		}
		a.roles = append(a.roles, r...)
	}
	if a.listener, err = net.Listen("tcp", a.Config.Metrics.Listen); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	a.onStop("metrics listener", func() error {
		if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return nil
}

func (a *App) onStop(name string, do func() error) { a.stops = append(a.stops, cleanup{name, do}) }

// MetricsAddr is where /metrics, /healthz and /readyz are served.
func (a *App) MetricsAddr() string { return a.listener.Addr().String() }

// WebURL is where the console and the API are; empty without the web role.
func (a *App) WebURL() string {
	if a.web == nil {
		return ""
	}
	return a.web.url
}

// Close gives back what New acquired, last first.
func (a *App) Close() error {
	var problems []error
	for _, c := range slices.Backward(a.stops) {
		if err := c.do(); err != nil {
			problems = append(problems, fmt.Errorf("close %s: %w", c.name, err))
		}
	}
	a.stops = nil
	return errors.Join(problems...)
}
