package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/schemas"
)

// waitingTenants is how many tenants the exports are of that wait.
const waitingTenants = 50

// measureWaiting has very many exports of fifty tenants wait for ingest in one partition of the
// requests, and measures what others notice of them: a cancel, a small export of another
// tenant, how often services are asked. Then all run, and the worker is started again twice.
func (s *system) measureWaiting(ctx context.Context, n sizes, dir string, services func() map[string]int) error {
	all, err := newProcesses(ctx, n.binary, dir)
	if err != nil {
		return err
	}
	w := &waits{system: s, processes: all, told: newTold()}
	if err := w.told.follow(ctx, s); err != nil {
		return err
	}
	defer w.told.close()
	history, err := all.start(ctx, "history")
	if err != nil {
		return err
	}
	defer history.stop()
	if err := w.fill(ctx); err != nil {
		return err
	}
	if w.worker, err = all.start(ctx, "export"); err != nil {
		return err
	}
	defer func() { w.worker.stop() }()
	r := &report{sizes: n}
	few := min(100, n.waiting/10)
	if err := w.request(ctx, 0, few); err != nil {
		return err
	}
	ofFew, err := w.rates(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := w.request(ctx, few, n.waiting); err != nil {
		return err
	}
	r.step(fmt.Sprintf("%d more are requested, and all are accepted", n.waiting-few), time.Since(began), w.resides())
	ofMany, err := w.rates(ctx)
	if err != nil {
		return err
	}
	r.waits = []waitRate{{few, ofFew}, {n.waiting, ofMany}}
	const cancels = 5
	for i := range cancels {
		took, err := w.cancel(ctx, n.waiting-1-i)
		if err != nil {
			return err
		}
		r.step("cancel of one of the last, while all wait for ingest", took, "")
	}
	if err := w.run(ctx, r, n.waiting, cancels); err != nil {
		return err
	}
	for name, p := range map[string]*role{"history": history, "export": w.worker} {
		r.resides = append(r.resides, fmt.Sprintf("%s: %d MiB", name, p.peak()))
	}
	r.memory(services())
	r.printWaiting(os.Stdout)
	return nil
}

// waits is a system in which exports wait.
type waits struct {
	*system
	processes
	worker *role
	told   *told
}

func waitingTenant(n int) string { return fmt.Sprintf("tenant-%02d", n%waitingTenants) }
func waitingExport(n int) string { return fmt.Sprintf("waiting-%05d", n) }

func (w *waits) resides() string { return fmt.Sprintf("worker %d MiB", w.worker.peak()) }

// fill stores an interaction of each tenant, and then publishes one more, which nobody ingests.
func (w *waits) fill(ctx context.Context) error {
	ingest, err := w.start(ctx, "ingest")
	if err != nil {
		return err
	}
	var events []schemas.Event
	for n := range waitingTenants {
		events = append(events, w.interaction(waitingTenant(n), 1))
	}
	events = append(events, w.interaction("another", 1))
	if err := w.publisher.Publish(ctx, events...); err != nil {
		return err
	}
	for stored := uint64(0); stored < uint64(len(events)); {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		if err := w.tables.Scan(ctx, "count what is stored", "SELECT count() FROM interactions", nil, &stored); err != nil {
			return err
		}
	}
	ingest.stop()
	return w.publisher.Publish(ctx, w.interaction(waitingTenant(0), 2))
}

func (w *waits) interaction(tenant string, n int) *schemas.Interaction {
	return &schemas.Interaction{
		TenantID: tenant, InteractionID: fmt.Sprintf("interaction-%d", n), MediaType: "chat",
		StartedAt: schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)), Text: "hello",
	}
}

func (w *waits) of(tenant, id string) *schemas.ExportRequest {
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: "scale",
		From: schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), To: schemas.TimeOf(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)),
		Recipients: []schemas.Recipient{{Certificate: w.certificate}},
	}
}

// request asks for exports, and waits until they are accepted.
func (w *waits) request(ctx context.Context, first, next int) error {
	var events []schemas.Event
	for n := first; n < next; n++ {
		events = append(events, w.of(waitingTenant(n), waitingExport(n)))
	}
	if err := w.publisher.Publish(ctx, events...); err != nil {
		return err
	}
	return w.told.wait(ctx, fmt.Sprintf("%d exports are accepted", next), func(t *told) bool { return len(t.accepted) >= next })
}

// rate is how often services are asked in a second, and the worker's share of a core.
type rate struct{ kafka, clickhouse, cpu float64 }

// rates measures for a while, once every export has been reported to wait: of ten thousand that
// takes more than a minute, a hundred a second.
func (w *waits) rates(ctx context.Context) (r rate, err error) {
	const settles, lasts = 10 * time.Second, 20 * time.Second
	for before := -1; before != w.told.events(); {
		before = w.told.events()
		if err := pause(ctx, settles); err != nil {
			return r, err
		}
	}
	look := func() (now rate) {
		var queries uint64
		kafka, asking := w.worker.metric(ctx, "cdds_kafka_request_duration_e2e_seconds_count")
		err = errors.Join(err, asking, w.tables.Scan(ctx, "count queries", "SELECT sum(value) FROM system.events WHERE event IN ('SelectQuery', 'InsertQuery')", nil, &queries))
		return rate{kafka, float64(queries), w.worker.cpu()}
	}
	before := look()
	if err := pause(ctx, lasts); err != nil {
		return r, err
	}
	after := look()
	seconds := lasts.Seconds()
	r = rate{(after.kafka - before.kafka) / seconds, (after.clickhouse - before.clickhouse) / seconds, (after.cpu - before.cpu) / seconds}
	fmt.Fprintf(os.Stderr, "a second: %.1f requests to Kafka, %.1f queries to ClickHouse, %.2f s of CPU\n", r.kafka, r.clickhouse, r.cpu)
	return r, err
}

// cancel is how long it takes from a cancel until it is reported to have acted.
func (w *waits) cancel(ctx context.Context, n int) (time.Duration, error) {
	began := time.Now()
	err := w.publisher.Publish(ctx, &schemas.ExportRequest{
		TenantID: waitingTenant(n), ExportID: waitingExport(n), Action: schemas.ActionCancel, RequestedBy: "scale", RequestedAt: schemas.TimeOf(began),
	})
	if err == nil {
		err = w.told.wait(ctx, "an export is cancelled", func(t *told) bool { return t.cancelled[waitingExport(n)] })
	}
	return time.Since(began), err
}

// run has ingest go on, so that all exports can run, and starts the worker again twice: once
// it is stopped, once it crashes.
func (w *waits) run(ctx context.Context, r *report, exports, cancelled int) error {
	ingest, err := w.start(ctx, "ingest")
	if err != nil {
		return err
	}
	defer ingest.stop()
	began := time.Now()
	due := exports - cancelled
	done := func(n int) error {
		return w.told.wait(ctx, fmt.Sprintf("%d exports are completed", n), func(t *told) bool { return len(t.completed) >= n })
	}
	if err := done(due / 100); err != nil {
		return err
	}
	if err := w.small(ctx, r); err != nil {
		return err
	}
	took, err := w.cancel(ctx, exports-1-cancelled)
	if err != nil {
		return err
	}
	r.step("cancel of the last, while the others run", took, "")
	if err := done(due / 3); err != nil {
		return err
	}
	for _, restart := range []struct {
		name string
		end  func()
		at   int
	}{{"is stopped", w.worker.stop, 2 * due / 3}, {"crashes", func() { w.worker.kill() }, due}} {
		restart.end()
		again := time.Now()
		before := w.told.count()
		if w.worker, err = w.start(ctx, "export"); err != nil {
			return err
		}
		started := time.Since(again)
		if err := w.told.wait(ctx, "an export is completed after a restart", func(t *told) bool { return len(t.completed) > before+inHand }); err != nil {
			return err
		}
		r.step(fmt.Sprintf("the worker %s, and others than were in hand are completed by the next (which took %s to start)", restart.name, started.Round(100*time.Millisecond)), time.Since(again), "")
		if err := done(restart.at); err != nil {
			return err
		}
	}
	took = time.Since(began)
	r.step(fmt.Sprintf("all run: %.0f a second", float64(due)/took.Seconds()), took, w.resides())
	return w.check(ctx, r, exports, cancelled+1)
}

// inHand is how many exports a worker with few slots has in hand.
const inHand = 32

// small asks for an export of a tenant that has none, while thousands of others are ready to run.
func (w *waits) small(ctx context.Context, r *report) error {
	began := time.Now()
	if err := w.publisher.Publish(ctx, w.of("another", "small")); err != nil {
		return err
	}
	if err := w.told.wait(ctx, "the small export is completed", func(t *told) bool { return t.completed["small"] > 0 }); err != nil {
		return err
	}
	w.told.mu.Lock()
	parts, most := 0, 0
	for _, of := range w.told.between {
		parts, most = parts+of, max(most, of)
	}
	tenants := len(w.told.between)
	w.told.mu.Unlock()
	r.step(fmt.Sprintf("a small export of another tenant, from request to completed; from planned until its part was stored, %d parts of %d other tenants were, of each at most %d", parts, tenants, most), time.Since(began), "")
	if most > 2 { // one may have been in hand, and one comes before it
		return fmt.Errorf("the small export waited for %d parts of another tenant", most)
	}
	return nil
}

// check counts what came of the exports, by what was reported and what is in the bucket.
func (w *waits) check(ctx context.Context, r *report, exports, cancelled int) error {
	w.told.mu.Lock()
	twice, ran := 0, len(w.told.completed)
	for _, times := range w.told.completed {
		if times > 1 {
			twice++
		}
	}
	w.told.mu.Unlock()
	if want := exports - cancelled + 1; ran != want { // and the small one
		return fmt.Errorf("%d exports are completed, want %d", ran, want)
	}
	if twice > 2*inHand {
		return fmt.Errorf("%d exports are reported to be completed twice, and at most %d were in hand at a restart", twice, 2*inHand)
	}
	r.size("exports reported to be completed twice, of those in hand at a restart", int64(twice))
	for n := range exports {
		objects, err := w.bucket.List(ctx, schemas.ExportPrefix(waitingTenant(n), waitingExport(n)))
		if err != nil {
			return err
		}
		files := 0
		for _, o := range objects {
			if schemas.IsArtifact(waitingExport(n), o.Key[strings.LastIndex(o.Key, "/")+1:]) {
				files++
			}
		}
		if want := map[bool]int{true: 3}[n < exports-cancelled]; files != want {
			return fmt.Errorf("export %d has %d files, want %d", n, files, want)
		}
	}
	if left, err := (pipeline.Decisions{Store: w.bucket}).Opened(ctx, 0); err != nil || len(left) > 0 {
		return fmt.Errorf("%d exports are open still: %w", len(left), err)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// told is what was reported of exports.
type told struct {
	client *kgo.Client
	ended  chan struct{}

	mu                  sync.Mutex
	changed             chan struct{}
	err                 error
	accepted, cancelled map[string]bool
	completed           map[string]int // how often
	all                 int            // events
	// between is how many parts of each other tenant were stored from when the small export was
	// planned until its own was.
	counting bool
	between  map[string]int
}

func newTold() *told {
	return &told{ended: make(chan struct{}), changed: make(chan struct{}), accepted: map[string]bool{}, cancelled: map[string]bool{}, completed: map[string]int{}, between: map[string]int{}}
}

// follow reads the topic of status events until close.
func (t *told) follow(ctx context.Context, s *system) error {
	options, err := connect.Kafka(s.config.Kafka, "scale-told", nil)
	if err != nil {
		return err
	}
	t.client, err = kgo.NewClient(append(options, kgo.ConsumeTopics(string(schemas.TopicExportStatus)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return err
	}
	go func() {
		defer close(t.ended)
		for {
			fetches := t.client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				return
			}
			t.mu.Lock()
			fetches.EachError(func(_ string, _ int32, err error) { t.err = errors.Join(t.err, err) })
			fetches.EachRecord(func(r *kgo.Record) { t.read(r.Value) })
			close(t.changed)
			t.changed = make(chan struct{})
			t.mu.Unlock()
		}
	}()
	return nil
}

func (t *told) close() {
	t.client.Close()
	<-t.ended
}

// read notes a status event. t.mu is held.
func (t *told) read(value []byte) {
	var e schemas.ExportStatus
	if err := schemas.ReadKnown(value, &e); err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	t.all++
	switch small := e.ExportID == "small"; {
	case e.State == schemas.Failed || e.State == schemas.Refused:
		t.err = errors.Join(t.err, fmt.Errorf("export %s is %s: %s %+v", e.ExportID, e.State, e.Reason, e.Failure))
	case e.EventID == "requested":
		t.accepted[e.ExportID] = true
	case e.State == schemas.Cancelled:
		t.cancelled[e.ExportID] = true
	case e.State == schemas.Completed:
		t.completed[e.ExportID]++
	case e.State == schemas.Planned && small:
		t.counting = true
	case e.Part != nil && small:
		t.counting = false
	case e.Part != nil && t.counting:
		t.between[e.TenantID]++
	}
}

func (t *told) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.completed)
}

func (t *told) events() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}

// patience is how long something is waited for that is reported of exports.
const patience = 20 * time.Minute

// wait returns when something was reported.
func (t *told) wait(ctx context.Context, what string, is func(*told) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("after %s it is not reported that %s", patience, what))
	defer cancel()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		t.mu.Lock()
		err, there, changed := t.err, is(t), t.changed
		line := fmt.Sprintf("%d accepted, %d completed", len(t.accepted), len(t.completed))
		t.mu.Unlock()
		if err != nil || there {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
			fmt.Fprintln(os.Stderr, line)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
