package app_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/metrics"
	"cdds/ops/provision"
	"cdds/ops/stack/engine"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/smime"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers"
	"cdds/schemas"
)

// atOnce is how many tests run at once: most of their time they wait, and the stack of each
// has half a gigabyte. Tests that measure the process's memory, or change its environment,
// run alone: they do not call Parallel.
const atOnce = "3"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil { // -parallel overrides it
		panic(err)
	}
	stacktest.Main(m)
}

// world is a running embedded system and clients to look at it from outside.
type world struct {
	t         *testing.T
	config    config.Config
	local     *app.Local
	client    *kgo.Client
	admin     *kadm.Client
	tables    *tables.Database
	warehouse *warehouse.Warehouse
	ledger    *ledger.Ledger
	bucket    *bucket.Bucket
	publisher *producers.Publisher
	cert, key string // files of a recipient
	loads     int
	now       func() time.Time // the clock of roles run from now on; nil is the real one
	metrics   string           // base URL of the last app that was run
	log       *slog.Logger     // of apps; nil is the test's own
}

// newWorld starts the embedded stack, provisioned, with no role running.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir())
}

// newWorldIn is newWorld with the stack's data in dir.
func newWorldIn(t *testing.T, dir string) *world {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	c := config.Default()
	c.Web.Listen = "127.0.0.1:0" // several tests run at once
	local, err := app.StartLocal(t.Context(), dir, c, log, func(string) {})
	if errors.Is(err, engine.ErrNoLibrary) {
		t.Skip(err)
	}
	check(t, err)
	t.Cleanup(func() {
		if err := local.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, config: local.Config, local: local}
	opts, err := connect.Kafka(w.config.Kafka, "test", nil)
	check(t, err)
	w.client, err = kgo.NewClient(opts...)
	check(t, err)
	t.Cleanup(w.client.Close)
	w.admin = kadm.NewClient(w.client)
	conn, err := connect.ClickHouse(w.config.ClickHouse)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	w.tables = tables.New(conn)
	w.warehouse, w.ledger = warehouse.New(w.tables), ledger.New(w.tables)
	w.bucket, err = connect.Bucket(w.config.S3)
	check(t, err)
	w.publisher, err = producers.New(opts, "test", nil)
	check(t, err)
	t.Cleanup(w.publisher.Close)
	check(t, provision.All(t.Context(), w.admin, w.tables, w.bucket, w.config, func(string) {}))
	w.cert, w.key = keyPair(t)
	return w
}

// run runs roles until the test ends or stop is called, which waits for them.
func (w *world) run(roles ...string) (stop func()) {
	w.t.Helper()
	log := w.log
	if log == nil {
		log = slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	a, err := app.New(app.Options{
		Config: w.config, Roles: roles, Name: "test", Registry: w.registry(), Now: w.now, Logger: log,
	})
	check(w.t, err)
	w.metrics = "http://" + a.MetricsAddr()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error("the app ended with:", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// registry is what `cdds` gives an app.
func (w *world) registry() *prometheus.Registry {
	reg := metrics.NewRegistry()
	metrics.Version(reg, "test")
	return reg
}

// publish publishes events and waits for their acknowledgement.
func (w *world) publish(events ...schemas.Event) {
	w.t.Helper()
	check(w.t, w.publisher.Publish(w.t.Context(), events...))
}

// produce sends raw bytes to a topic, as any Kafka client could.
func (w *world) produce(topic schemas.Topic, key, value []byte) {
	w.t.Helper()
	opts, err := connect.Kafka(w.config.Kafka, "test", nil)
	check(w.t, err)
	client, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(schemas.MaxRecordBytes))...)
	check(w.t, err)
	defer client.Close()
	check(w.t, client.ProduceSync(w.t.Context(), &kgo.Record{Topic: string(topic), Key: key, Value: value}).FirstErr())
}

// await returns the export once it has ended.
func (w *world) await(tenant, id string) schemas.Export {
	w.t.Helper()
	return w.awaitThat(tenant, id, func(e schemas.Export) bool { return e.State.Ended() })
}

func (w *world) awaitThat(tenant, id string, that func(schemas.Export) bool) schemas.Export {
	w.t.Helper()
	return w.awaitWithin(patience, tenant, id, that)
}

func (w *world) awaitWithin(limit time.Duration, tenant, id string, that func(schemas.Export) bool) schemas.Export {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	var last schemas.Export
	for {
		e, ok, err := w.ledger.Export(ctx, tenant, id)
		if err == nil && ok {
			if last = e; that(e) {
				if e, _, err = w.ledger.WholeExport(ctx, tenant, id); err == nil {
					return e
				}
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			w.t.Fatalf("export %s of %s did not get there: it is %q after %d parts, %+v, last error %v\n%s", id, tenant, last.State, last.Done.Parts, last.Failure, err, doing())
		}
	}
}

// patience is how long a test waits for what must come: long, for machines that are
// slow or stand still for a while.
const patience = 2 * time.Minute

// doing is what the goroutines with code of this module do, for a wait that had no end.
func doing() string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	var ours strings.Builder
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, "\tcdds/") {
			ours.WriteString(stack + "\n\n")
		}
	}
	return ours.String()
}

// request asks for all interactions of a tenant, sealed for the world's recipient.
func (w *world) request(tenant, id string) *schemas.ExportRequest {
	w.t.Helper()
	pem, err := os.ReadFile(w.cert)
	check(w.t, err)
	from, _ := schemas.ParseTime("2020-01-01T00:00:00Z")
	to, _ := schemas.ParseTime("2030-01-01T00:00:00Z")
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, From: from, To: to,
		Recipients: []schemas.Recipient{{Certificate: string(pem)}},
	}
}

func keyPair(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver"})
	check(t, err)
	dir := t.TempDir()
	certFile, keyFile = dir+"/cert.pem", dir+"/key.pem"
	check(t, os.WriteFile(certFile, cert, 0o644))
	check(t, os.WriteFile(keyFile, key, 0o600))
	return certFile, keyFile
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
