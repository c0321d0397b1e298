package app_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"cdds/producers/schedule"
	"cdds/schemas"
)

// metric is the value of a metric without labels on an app's page.
func (w *world) metric(app, name string) (value int) {
	w.t.Helper()
	r, err := http.Get(app + "/metrics")
	check(w.t, err)
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if text, is := strings.CutPrefix(lines.Text(), name+" "); is {
			v, err := strconv.ParseFloat(text, 64)
			check(w.t, err)
			value = int(v)
		}
	}
	return value
}

func TestTwoSchedulersShareTenThousandDueJobsAndOneAloneHasThemAll(t *testing.T) {
	t.Parallel()
	const jobs = 10_000
	eleven := time.Date(2026, 10, 5, 11, 0, 0, 0, time.UTC)
	w := newWorld(t)
	clock := newClock("2026-10-05T10:20:00Z")
	w.now = clock.now
	w.config.Schedule.Every = 20 * time.Millisecond
	recipient := w.register("acme", "Acme")
	var events []schemas.Event
	var runs []schemas.Export // what history will say of those at 11:00
	for n := range jobs {
		j := everyHour(fmt.Sprintf("job-%d", n), "2026-10-05T10:15:00Z", recipient)
		j.TenantID = fmt.Sprintf("tenant-%d", n%50)
		events = append(events, j)
		r := schedule.Request(*j, schemas.TimeOf(eleven))
		runs = append(runs, schemas.Export{TenantID: r.TenantID, ExportID: r.ExportID, State: schemas.Completed, Events: 1, Request: r, RequestedAt: r.ScheduledAt, UpdatedAt: r.ScheduledAt})
	}
	w.publish(events...)
	stop := w.run("schedule")
	first := w.metrics
	w.run("schedule")
	second := w.metrics
	of := func(name string) (a, b int) { return w.metric(first, name), w.metric(second, name) }
	w.eventually(func() bool {
		a, b := of("cdds_schedule_jobs")
		return a+b == jobs && a > jobs/4 && b > jobs/4
	})

	began := time.Now()
	clock.set("2026-10-05T11:00:00Z")
	w.eventually(func() bool {
		a, b := of("cdds_schedule_runs_total")
		return a+b >= jobs
	})
	a, b := of("cdds_schedule_runs_total")
	t.Logf("two schedulers requested %d and %d runs within %s", a, b, time.Since(began))
	if a+b != jobs || a < jobs/4 || b < jobs/4 {
		t.Errorf("two schedulers requested %d and %d runs of %d jobs", a, b, jobs)
	}

	check(t, w.ledger.SaveExports(t.Context(), runs))
	stop()
	w.eventually(func() bool { return w.metric(second, "cdds_schedule_jobs") == jobs })
	began = time.Now()
	clock.set("2026-10-05T12:00:00Z")
	w.eventually(func() bool { return w.metric(second, "cdds_schedule_runs_total") >= b+jobs })
	t.Logf("one scheduler requested %d runs within %s", jobs, time.Since(began))

	requested := w.requested()
	for n := range jobs {
		for _, at := range []time.Time{eleven, eleven.Add(time.Hour)} {
			id := schedule.RunID(fmt.Sprintf("job-%d", n), schemas.TimeOf(at))
			if requested[id] != 1 {
				t.Fatalf("%s was requested %d times", id, requested[id])
			}
		}
	}
}
