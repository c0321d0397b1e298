package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/ops/stack"
	"cdds/schemas"
)

// get fetches a path of the private listener.
func (w *world) get(path string) (status int, body string) {
	w.t.Helper()
	r, err := http.Get(w.metrics + path)
	check(w.t, err)
	defer r.Body.Close()
	content, err := io.ReadAll(r.Body)
	check(w.t, err)
	return r.StatusCode, string(content)
}

func TestMetricsSayWhatWasConsumedStoredDeadLetteredAndExported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 100)
	w.produce(schemas.TopicInteractions, nil, []byte("{"))
	w.publish(w.request("acme", "measured"), w.request("nobody", "refused"))
	w.await("acme", "measured")
	w.await("nobody", "refused")

	for series, want := range map[string]float64{
		`cdds_consumer_records_total{group="cdds.ingest.interactions"}`:                          101,
		`cdds_consumer_dead_letters_total{code="invalid_json",group="cdds.ingest.interactions"}`: 1,
		`cdds_consumer_lag_records{group="cdds.ingest.interactions"}`:                            0,
		`cdds_consumer_lag_seconds{group="cdds.ingest.interactions"}`:                            0,
		`cdds_consumer_dead_letters_total{code="too_large",group="cdds.ingest.interactions"}`:    0,
		`cdds_export_oldest_seconds`:                                      0,
		`cdds_ingest_rows_total{entity="interaction"}`:                    100,
		`cdds_producer_records_total{topic="cdds.interactions.dlq"}`:      1,
		`cdds_export_rows_total`:                                          100,
		`cdds_export_parts_total`:                                         1,
		`cdds_export_ended_total{state="completed"}`:                      1,
		`cdds_export_ended_total{state="refused"}`:                        1,
		`cdds_export_part_seconds_count`:                                  1,
		`cdds_export_waiting_parts`:                                       0,
		`cdds_tenant_ingest_rows_total{tenant="acme"}`:                    100,
		`cdds_tenant_export_rows_total{tenant="acme"}`:                    100,
		`cdds_tenant_export_ended_total{state="completed",tenant="acme"}`: 1,
		`cdds_export_active`:                                              0,
	} {
		w.awaitSeries(series, want)
	}
	_, page := w.get("/metrics")
	if !strings.Contains(page, `cdds_kafka_fetch_bytes_total{client="ingest.interactions"`) {
		t.Error("franz-go's own metrics are not there")
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		lint := exec.Command(promtool, "check", "metrics")
		lint.Stdin = strings.NewReader(page)
		out, _ := lint.CombinedOutput() // it fails for what follows too
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "cdds_kafka_buffered_") { // franz-go's names
				t.Errorf("promtool: %s", line)
			}
		}
	}
	page = strings.ReplaceAll(page, `tenant="acme"`, "") // bounded: see TestTenantsBeyondTheBoundAreCountedTogether
	if strings.Contains(page, "acme") || strings.Contains(page, "measured") {
		t.Error("an id is a label: cardinality without bound")
	}
}

// awaitSeries waits until a series has a value: counters follow what they count.
func (w *world) awaitSeries(series string, want float64) {
	w.t.Helper()
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`)
	got := "nothing"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, page := w.get("/metrics")
		if m := line.FindStringSubmatch(page); m != nil {
			if v, err := strconv.ParseFloat(m[1], 64); err == nil && v == want {
				return
			}
			got = m[1]
		}
	}
	w.t.Errorf("%s is %s, want %v", series, got, want)
}

func TestReadinessNamesTheServiceThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	until := func(status int) map[string]string {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			got, body := w.get("/readyz")
			if got == status {
				var told struct{ Problems map[string]string }
				check(t, json.Unmarshal([]byte(body), &told))
				return told.Problems
			}
			if time.Now().After(deadline) {
				t.Fatalf("/readyz stays %d: %s", got, body)
			}
		}
	}
	until(http.StatusOK)
	pause := w.local.Stack.Pids()[stack.S3]
	check(t, syscall.Kill(pause, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(pause, syscall.SIGCONT) }()
	if problems := until(http.StatusServiceUnavailable); problems["s3"] == "" {
		t.Errorf("the problems are %v", problems)
	}
	check(t, syscall.Kill(pause, syscall.SIGCONT))
	until(http.StatusOK)
	if status, _ := w.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d", status)
	}
}
