package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// pace is the load under which latencies are measured, in interactions a second.
const pace = 5_000

// samples is how many latencies of each kind are taken in a run.
const samples = 40

// latency measures, under a steady load, how long it takes until an interaction can
// be queried, until a small export is completed, and until history shows it.
func latency(ctx context.Context, r *run) error {
	for _, name := range []string{"ingest", "export", "history"} {
		p, err := r.system.role(ctx, name)
		if err != nil {
			return err
		}
		defer p.stop()
	}
	x, err := r.newExports(ctx)
	if err != nil {
		return err
	}
	if err := r.produceSmall(ctx); err != nil {
		return err
	}
	load, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	var failed error
	working.Go(func() { failed = r.load(load) })
	defer func() { stop(); working.Wait() }()

	var queryable, completed, visible []float64
	for n := range samples * r.runs {
		seconds, err := r.untilQueryable(ctx, n)
		if err != nil {
			return err
		}
		queryable = append(queryable, seconds*1e3)
		request := x.request(smallFrom, smallFrom.Add(time.Hour))
		if seconds, _, err = x.once(ctx, request); err != nil {
			return err
		}
		completed = append(completed, seconds*1e3)
		if seconds, err = r.untilVisible(ctx, request.ExportID); err != nil {
			return err
		}
		visible = append(visible, seconds*1e3)
	}
	stop()
	working.Wait()
	if failed != nil && !errors.Is(failed, context.Canceled) {
		return failed
	}
	load50 := fmt.Sprintf(" at %s interactions/s", count(pace))
	var steps []figure
	for _, step := range []struct {
		name  string
		state schemas.State
	}{
		{"until it is accepted", schemas.Requested},
		{"from accepted until planned, with the wait for ingest", schemas.Planned},
		{"from planned until its part is stored", schemas.Running},
		{"from there until completed", schemas.Completed},
	} {
		steps = append(steps, percentile("1,000-row export, "+step.name+load50, 0.5, x.steps[step.state]))
	}
	r.report.add(
		percentile("produce to queryable"+load50, 0.5, queryable), percentile("produce to queryable"+load50, 0.99, queryable, atMost(1000)),
		percentile("1,000-row export, request to completed"+load50, 0.5, completed, atMost(150)), percentile("1,000-row export, request to completed"+load50, 0.99, completed, atMost(1000)),
		percentile("completed to visible in history"+load50, 0.5, visible), percentile("completed to visible in history"+load50, 0.99, visible))
	r.report.add(steps...)
	return nil
}

func percentile(name string, q float64, runs []float64, t ...target) figure {
	v := quantile(runs, q)
	f := figure{Name: fmt.Sprintf("%s, p%g", name, q*100), Value: &v, Unit: "ms", Runs: runs}
	return f.judged(v, t)
}

// smallFrom is when the interactions of the small export begin: apart from the load.
var smallFrom = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func (r *run) produceSmall(ctx context.Context) error {
	var events []schemas.Event
	for e := range sample.InteractionsBetween(2, 1_000, smallFrom, smallFrom.Add(time.Hour)) {
		e.TenantID = tenant
		events = append(events, e)
	}
	if err := r.system.publisher.Publish(ctx, events...); err != nil {
		return err
	}
	return r.stored(ctx, "interactions", len(events))
}

// load publishes at the pace until ctx ends.
func (r *run) load(ctx context.Context) error {
	const every = 20 * time.Millisecond
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	events := make([]schemas.Event, 0, pace*int(every)/int(time.Second))
	for e := range sample.InteractionsBetween(3, 1<<30, rangeFrom, rangeTo) {
		e.TenantID, e.StartedAt = tenant, schemas.TimeOf(time.Now()) // they happen now
		if events = append(events, e); len(events) < cap(events) {
			continue
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.system.publisher.Publish(ctx, events...); err != nil {
			return err
		}
		events = events[:0]
	}
	return nil
}

// untilQueryable publishes one interaction and asks for it until it is there. The
// clock starts when it is handed to the client.
func (r *run) untilQueryable(ctx context.Context, n int) (float64, error) {
	id := fmt.Sprintf("probe-%d-%d", time.Now().UnixNano(), n)
	begin := time.Now()
	e := &schemas.Interaction{InteractionID: id, TenantID: "probe", MediaType: "chat", StartedAt: schemas.TimeOf(begin)}
	if err := r.system.publisher.Publish(ctx, e); err != nil {
		return 0, err
	}
	err := r.until(ctx, fmt.Sprintf("SELECT count() FROM interactions WHERE tenant_id = 'probe' AND interaction_id = '%s'", id))
	return time.Since(begin).Seconds(), err
}

func (r *run) untilVisible(ctx context.Context, exportID string) (float64, error) {
	begin := time.Now()
	err := r.until(ctx, fmt.Sprintf("SELECT count() FROM exports FINAL WHERE tenant_id = '%s' AND export_id = '%s' AND state = 'completed'", tenant, exportID))
	return time.Since(begin).Seconds(), err
}

// until asks until the answer is not 0.
func (r *run) until(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		n, err := r.system.number(ctx, sql)
		if err != nil || n > 0 {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
