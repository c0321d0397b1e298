package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers/export"
	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/stack"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// pause stops a service of the stack with SIGSTOP: it keeps its connections and
// answers nobody, as a machine that is out of memory does.
func (w *world) pause(service string) (resume func()) {
	w.t.Helper()
	pid := w.local.Stack.Pids()[service]
	check(w.t, syscall.Kill(pid, syscall.SIGSTOP))
	resume = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	w.t.Cleanup(resume)
	return resume
}

// awaitReady waits until /readyz answers with status, and returns what it says.
func (w *world) awaitReady(status int) string {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got, body := w.get("/readyz")
		if got == status {
			return body
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("/readyz stays %d: %s", got, body)
		}
	}
}

func TestWhatIsProducedAndAskedForWhileAServiceIsDownIsDoneWhenItIsBack(t *testing.T) {
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 1000)
	w.publish(w.request("acme", "before"))
	w.await("acme", "before")
	rows := 1000
	for _, service := range []string{stack.ClickHouse, stack.S3} {
		resume := w.pause(service)
		if told := w.awaitReady(http.StatusServiceUnavailable); !strings.Contains(told, `"`+service+`":`) {
			t.Errorf("%s is down, and /readyz says %s", service, told)
		}
		// Together more than ingest may hold: it has to wait rather than grow.
		long := strings.Repeat("what was said ", 500)
		for range 5_000 {
			e := interaction("acme", rows)
			e.Text = long
			rows++
			w.publisher.PublishAsync(t.Context(), e, func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		check(t, w.publisher.Flush(t.Context()))
		w.publish(w.request("acme", "during-"+service))
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 200<<20 {
			t.Errorf("%s is down and the heap holds %d MiB", service, m.HeapAlloc>>20)
		}
		resume()
		w.awaitReady(http.StatusOK)
		if e := w.await("acme", "during-"+service); e.State != schemas.Completed || e.Done.Rows != int64(rows) {
			t.Errorf("%s is back: the export is %s with %d of %d rows, %+v", service, e.State, e.Done.Rows, rows, e.Failure)
		}
	}
	if stored, letters := w.stored(schemas.TopicInteractions); stored != int64(rows) || letters != 0 {
		t.Errorf("%d rows and %d dead letters of %d", stored, letters, rows)
	}
}

// book is a Publisher that remembers, and fails one publication.
type book struct {
	mu     sync.Mutex
	calls  int
	failAt int
	moment pipelinetest.Moment
	events map[string]schemas.State
	done   *schemas.Completion
}

func (b *book) Publish(_ context.Context, events ...schemas.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	fails := b.calls == b.failAt
	if fails && b.moment == pipelinetest.Before {
		return pipelinetest.ErrInjected
	}
	for _, e := range events {
		if s, ok := e.(*schemas.ExportStatus); ok {
			if s.Waiting == "" { // which depends on how long things take
				b.events[s.EventID] = s.State
			}
			if s.Completion != nil {
				b.done = s.Completion
			}
		}
	}
	if fails {
		return pipelinetest.ErrInjected
	}
	return nil
}

// onePartition is a topic of requests.
type onePartition struct{}

func (onePartition) Partitions(context.Context) (int32, error) { return 1, nil }

func (onePartition) Forward(context.Context, int32, *schemas.ExportRequest) error { return nil }

func TestAnExportReportsTheSameWhicheverCallFails(t *testing.T) {
	t.Parallel()
	const rows = 500
	source := pipelinetest.NewSource(pipelinetest.Records(rows)...)
	quiet := pipelinetest.Log{End: func() schemas.Snapshot { return schemas.Snapshot{rows, rows} }}
	cert, key := keyPair(t)
	signer, err := app.LoadSigner(config.Service{CertFile: cert, KeyFile: key})
	check(t, err)
	// handle runs the worker on a request, with faults that it has to live through, until
	// nothing is open any more.
	handle := func(b *book, faults *pipelinetest.Faults) (store *pipelinetest.Store) {
		t.Helper()
		store = pipelinetest.NewStore()
		worker := export.New(export.Options{
			Exporter: pipeline.New(pipeline.Options{
				Source: faults.Source(source), Store: faults.Store(store), Spools: pipeline.NewSpools(64 << 20),
				Certificate: signer.Certificate, Key: signer.Key, Lifetime: time.Hour, Now: time.Now,
			}),
			Log: quiet, Requests: onePartition{}, Ledger: quiet, Tenants: quiet, Publisher: b, Name: "test", Slots: 1, InlineCertificates: true,
			Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		})
		pem, err := os.ReadFile(cert)
		check(t, err)
		q := pipelinetest.Everything()
		batch := schemas.Batch[*schemas.ExportRequest]{Records: []schemas.Record[*schemas.ExportRequest]{{Event: &schemas.ExportRequest{
			TenantID: pipelinetest.Tenant, ExportID: "e1", Entity: q.Filter.Entity, From: q.Filter.From, To: q.Filter.To,
			SplitSize: 64 << 10, Recipients: []schemas.Recipient{{Certificate: string(pem)}},
		}}}}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = worker.Run(ctx) })
		running.Go(func() { worker.Own(ctx, 0) })
		for worker.Handle(ctx, batch) != nil { // as the Group does
		}
		open := pipeline.Decisions{Store: store, Now: time.Now}
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			if shards, err := open.Shards(ctx); err != nil || len(shards) == 0 {
				check(t, err)
				break
			}
		}
		stop()
		running.Wait()
		return store
	}
	undisturbed, counted := &book{events: map[string]schemas.State{}}, &pipelinetest.Faults{}
	want := digestsIn(t, handle(undisturbed, counted), undisturbed)
	if len(want) < 2 {
		t.Fatalf("the export has %d parts", len(want))
	}
	var running sync.WaitGroup
	disturbed := func(what string, b *book, faults *pipelinetest.Faults) {
		running.Go(func() {
			b.events = map[string]schemas.State{}
			got := digestsIn(t, handle(b, faults), b)
			if !slices.Equal(got, want) {
				t.Errorf("%s: the digests are not those of an undisturbed run", what)
			}
			if fmt.Sprint(b.events) != fmt.Sprint(undisturbed.events) {
				t.Errorf("%s: it reported %v, undisturbed %v", what, b.events, undisturbed.events)
			}
		})
	}
	for _, moment := range []pipelinetest.Moment{pipelinetest.Before, pipelinetest.After} {
		for n := 1; n <= undisturbed.calls; n++ {
			disturbed(fmt.Sprint("publication ", n, " fails, after its effect ", moment), &book{failAt: n, moment: moment}, &pipelinetest.Faults{})
		}
		for n := 1; n <= counted.Calls(); n++ {
			disturbed(fmt.Sprint("call ", n, " to store or source fails, after its effect ", moment), &book{}, pipelinetest.FailAt(n, moment))
		}
	}
	running.Wait()
	t.Logf("%d faults, one by one", 2*(undisturbed.calls+counted.Calls()))
}

// digestsIn checks the manifest against what is stored and returns what must be equal
// between exports of one snapshot.
func digestsIn(t *testing.T, store *pipelinetest.Store, b *book) (all []string) {
	t.Helper()
	if b.done == nil {
		t.Errorf("it was not completed: %v", b.events)
		return nil
	}
	content, err := store.GetBytes(context.Background(), b.done.ManifestKey, 1<<20)
	if err != nil {
		t.Error(err)
		return nil
	}
	m, err := schemas.DecodeManifest(content)
	if err != nil {
		t.Error(err)
		return nil
	}
	for _, p := range m.Parts {
		o, err := store.Stat(context.Background(), p.Key)
		if err != nil || o.Metadata["sealed-sha256"] != p.SealedSHA256 {
			t.Errorf("part %d is not the one stored: %v", p.Number, err)
		}
		all = append(all, fmt.Sprint(p.Number, p.Rows, p.JSONLSHA256, p.ZipSHA256))
	}
	return all
}
