package app_test

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/app"
	"cdds/ops/cli"
	"cdds/ops/connect"
	"cdds/ops/retention"
	"cdds/pipeline"
	"cdds/schemas"
)

// runAhead runs roles whose clock is that far ahead, until the test ends or stop is
// called.
func (w *world) runAhead(ahead time.Duration, roles ...string) (stop func()) {
	w.t.Helper()
	a, err := app.New(app.Options{
		Config: w.config, Roles: roles, Name: "ahead", Registry: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 1})),
		Now:    func() time.Time { return time.Now().Add(ahead) },
	})
	check(w.t, err)
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
		check(w.t, <-done)
	}
	w.t.Cleanup(stop)
	return stop
}

// keeper is retention as it would be that much later, one pass at a time.
func (w *world) keeper(ahead time.Duration) *retention.Keeper {
	return w.keeperAt(func() time.Time { return time.Now().Add(ahead) })
}

// keeperAt is retention with a clock.
func (w *world) keeperAt(now func() time.Time) *retention.Keeper {
	return retention.New(retention.Options{
		History: w.ledger, Account: w.warehouse, Log: w.offsets(), Objects: w.bucket, Publisher: w.publisher, Holds: unheld{},
		Artifacts: pipeline.New(pipeline.Options{Store: w.bucket, Now: now}),
		Lifetime:  func(string) time.Duration { return 30 * 24 * time.Hour }, Grace: 24 * time.Hour,
		Name: "test", Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: now,
	})
}

// artifactsIn lists the keys of an export's parts, manifest and signature.
func (w *world) artifactsIn(tenant, id string) (keys []string) {
	w.t.Helper()
	objects, err := w.bucket.List(w.t.Context(), schemas.ExportPrefix(tenant, id))
	check(w.t, err)
	for _, o := range objects {
		if strings.HasSuffix(o.Key, ".p7m") || strings.Contains(o.Key, schemas.ManifestName) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// count runs a query of one number.
func (w *world) count(sql string) (n uint64) {
	w.t.Helper()
	conn, err := connect.ClickHouse(w.config.ClickHouse)
	check(w.t, err)
	defer conn.Close()
	check(w.t, conn.QueryRow(w.t.Context(), sql).Scan(&n))
	return n
}

func TestAfterThirtyDaysObjectsStatusAndHistoryAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Export.LifetimeByTenant = map[string]time.Duration{"globex": 60 * 24 * time.Hour}
	w.run("ingest", "export", "history")
	w.load("acme", 0, 20)
	w.load("globex", 0, 20)
	request := w.request("acme", "old")
	w.publish(request, w.request("globex", "long"))
	w.await("acme", "old")
	w.await("globex", "long")

	if report, err := w.keeper(29 * 24 * time.Hour).Expire(t.Context()); err != nil || report != (retention.Report{}) {
		t.Fatalf("after 29 days retention did %+v, %v", report, err)
	}
	if e := w.await("acme", "old"); e.State != schemas.Completed || len(w.artifactsIn("acme", "old")) != 3 {
		t.Fatalf("after 29 days it is %s with %v", e.State, w.artifactsIn("acme", "old"))
	}
	w.runAhead(31*24*time.Hour, "retention")
	e := w.awaitThat("acme", "old", func(e schemas.Export) bool { return e.State == schemas.Expired })
	if left := w.artifactsIn("acme", "old"); len(left) != 0 || e.RemovedAt.IsZero() || e.EndedAt.IsZero() || e.Reason == "" {
		t.Errorf("expired, and there are %v; history says %+v", left, e)
	}
	if n := w.count("SELECT count() FROM artifacts FINAL WHERE export_id = 'old' AND removed_at IS NULL"); n != 0 {
		t.Errorf("%d artifacts are still listed", n)
	}
	if e := w.await("globex", "long"); e.State != schemas.Completed || len(w.artifactsIn("globex", "long")) != 3 {
		t.Errorf("the tenant with 60 days: %s, %v", e.State, w.artifactsIn("globex", "long"))
	}

	w.publish(request, w.request("acme", "next")) // a request that comes again does not bring it back
	w.await("acme", "next")
	if e := w.await("acme", "old"); e.State != schemas.Expired || len(w.artifactsIn("acme", "old")) != 0 {
		t.Errorf("after its request came again it is %s with %v", e.State, w.artifactsIn("acme", "old"))
	}
}

func TestTheSweepRemovesOrphansAndOwnsUpToWhatIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 20)
	w.publish(w.request("acme", "whole"), w.request("acme", "holed"))
	w.await("acme", "whole")
	holed := w.await("acme", "holed")
	check(t, w.bucket.Remove(t.Context(), holed.Parts[0].Key))
	for _, name := range []string{"accepted.json", "interaction-ghost-0001.jsonl.zip.p7m"} {
		check(t, w.bucket.PutBytes(t.Context(), "acme/ghost/"+name, []byte("{}"), "application/octet-stream"))
	}

	if report, err := w.keeper(time.Hour).Sweep(t.Context()); err != nil || report != (retention.Report{}) {
		t.Fatalf("within the grace the sweep did %+v, %v", report, err)
	}
	ahead := 48 * time.Hour
	keeper := w.keeperAt(func() time.Time { return time.Now().Add(ahead) })
	for range 2 { // of three exports two are too many to settle unasked
		if report, err := keeper.Sweep(t.Context()); err != nil || report != (retention.Report{Stopped: 2}) {
			t.Fatalf("unasked the sweep did %+v, %v", report, err)
		}
		ahead += 25 * time.Hour
	}
	cdds := func(args ...string) (code int, said string) {
		var out bytes.Buffer
		code = cli.Main(append([]string{"--data-dir", dir, "retention"}, args...), strings.NewReader(""), &out, &out)
		return code, out.String()
	}
	var doctor bytes.Buffer
	cli.Main([]string{"--data-dir", dir, "doctor", "--roles", "ingest,export,history"}, strings.NewReader(""), &doctor, &doctor)
	if !strings.Contains(doctor.String(), "bucket and history disagree about 2 of 3 exports") {
		t.Errorf("the doctor says %s", doctor.String())
	}
	code, said := cdds()
	shown := regexp.MustCompile(`disagree about 2 of 3 exports\ncompleted, but objects are missing: 1\nin the bucket, but unknown to history: 1\n(?s:.*)acme/ghost: (?s:.*)acme/holed: lost(?s:.*)cdds retention confirm (\S+)\n`).FindStringSubmatch(said)
	if code != 0 || shown == nil {
		t.Fatalf("cdds retention says, with code %d: %s", code, said)
	}
	if code, said := cdds("confirm", "another"); code != 3 || !strings.Contains(said, "not by another") {
		t.Errorf("another stop is confirmed with code %d: %s", code, said)
	}
	if code, said := cdds("confirm", shown[1]); code != 0 {
		t.Fatalf("the confirmation ends with code %d: %s", code, said)
	}
	if report, err := keeper.Sweep(t.Context()); err != nil || report != (retention.Report{Orphans: 2, Lost: 1}) {
		t.Fatalf("the sweep did %+v, %v; want two orphans and a loss", report, err)
	}
	if code, said := cdds(); code != 0 || !strings.Contains(said, "It is confirmed") {
		t.Errorf("before the next sweep cdds retention says, with code %d: %s", code, said)
	}
	if report, err := keeper.Sweep(t.Context()); err != nil || report != (retention.Report{}) {
		t.Errorf("afterwards the sweep did %+v, %v", report, err)
	}
	if code, said := cdds("confirm", shown[1]); code != 3 || !strings.Contains(said, "retention is not stopped") {
		t.Errorf("what is settled is confirmed with code %d: %s", code, said)
	}
	w.awaitAudit("*", "retention.confirm")
	e := w.awaitThat("acme", "holed", func(e schemas.Export) bool { return e.State == schemas.Expired })
	if !strings.Contains(e.Reason, "1 of its 3 objects") || len(w.artifactsIn("acme", "holed")) != 0 {
		t.Errorf("it is expired because %q with %v", e.Reason, w.artifactsIn("acme", "holed"))
	}
	if ghosts, err := w.bucket.List(t.Context(), "acme/ghost/"); err != nil || len(ghosts) != 0 {
		t.Errorf("of the orphans %v are left, %v", ghosts, err)
	}
	if e := w.await("acme", "whole"); e.State != schemas.Completed || len(w.artifactsIn("acme", "whole")) != 3 {
		t.Errorf("the export that is whole became %s with %v", e.State, w.artifactsIn("acme", "whole"))
	}
}

func TestWhatAFailedExportStoredGoesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Export.IngestWait = 300 * time.Millisecond
	w.run("export", "history")
	w.load("acme", 0, 5) // nothing ingests
	w.publish(w.request("acme", "broken"))
	if e := w.await("acme", "broken"); e.State != schemas.Failed {
		t.Fatalf("it is %s", e.State)
	}
	if report, err := w.keeper(29 * 24 * time.Hour).Expire(t.Context()); err != nil || report.Expired != 0 {
		t.Errorf("after 29 days: %+v, %v", report, err)
	}
	if report, err := w.keeper(31 * 24 * time.Hour).Expire(t.Context()); err != nil || report.Expired != 1 {
		t.Errorf("after 31 days: %+v, %v", report, err)
	}
	w.publish(&schemas.ExportRequest{Action: schemas.ActionRetry, TenantID: "acme", ExportID: "broken"})
	e := w.awaitThat("acme", "broken", func(e schemas.Export) bool { return e.State == schemas.Expired && len(e.Conflicts) > 0 })
	if !strings.Contains(e.Conflicts[0].Reason, "expired") {
		t.Errorf("the retry was answered %q", e.Conflicts[0].Reason)
	}
}
