package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/ops/dashboards"
	"cdds/ops/proof/pictures"
)

// prometheusServer is a real Prometheus with the project's rules, scraping one app
// every second.
type prometheusServer struct {
	t   *testing.T
	url string
	// window stands for 5m in rules and queries; a short run has nothing to show in 5m.
	window string
}

// startPrometheus runs Prometheus until the test ends; where it is not installed the
// test is skipped. It takes native histograms, as docker-compose.yml's does.
func startPrometheus(t *testing.T, target, window string) *prometheusServer {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("Prometheus is not installed; `ops/tools/install prometheus` does it where apt can")
	}
	p := &prometheusServer{t: t, window: window}
	dir := t.TempDir()
	rules, _ := filepath.Glob("../dashboards/rules/*.yml")
	for _, file := range rules {
		content, err := os.ReadFile(file)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(p.shorten(string(content))), 0o600))
	}
	check(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yml, recording.yml]
scrape_configs:
  - job_name: cdds
    static_configs: [{targets: [%q]}]
`, target), 0o600))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	addr := free.Addr().String()
	check(t, free.Close())
	p.url = "http://" + addr
	ctx, stop := context.WithCancel(context.Background())
	// timeout ends it even if this process is killed.
	cmd := exec.CommandContext(ctx, "timeout", "--kill-after=10", "600", program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr,
		"--enable-feature=native-histograms", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	check(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	p.until("Prometheus has scraped", func() bool {
		return len(p.query(`up{job="cdds"} == 1`)) == 1
	})
	return p
}

func (p *prometheusServer) shorten(expr string) string {
	return strings.ReplaceAll(expr, "[5m]", "["+p.window+"]")
}

// until waits for what comes by itself.
func (p *prometheusServer) until(what string, is func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("never: %s", what)
		}
	}
}

// get asks the API; false where it does not answer (yet).
func (p *prometheusServer) get(path string, parameters url.Values, data any) bool {
	p.t.Helper()
	r, err := http.PostForm(p.url+"/api/v1/"+path, parameters)
	if parameters == nil {
		r, err = http.Get(p.url + "/api/v1/" + path)
	}
	if err != nil {
		return false
	}
	defer r.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return false // it starts
	}
	if answer.Status != "success" {
		p.t.Fatalf("%s %v: %s", path, parameters, answer.Error)
	}
	return true
}

type promSeries struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// query evaluates an expression now, and leaves out values that are not numbers.
func (p *prometheusServer) query(expr string) (found []promSeries) {
	p.t.Helper()
	var data struct{ Result []promSeries }
	p.get("query", url.Values{"query": {expr}}, &data)
	for _, s := range data.Result {
		if _, ok := pointOf(s.Value); ok {
			found = append(found, s)
		}
	}
	return found
}

// lines evaluates a panel over a span of time, second by second.
func (p *prometheusServer) lines(panel dashboards.Panel, span pictures.Span) (all []pictures.Series) {
	p.t.Helper()
	for _, q := range panel.Queries {
		var data struct{ Result []promSeries }
		p.get("query_range", url.Values{
			"query": {p.expr(q)}, "step": {"1"},
			"start": {strconv.FormatInt(span.From.Unix(), 10)}, "end": {strconv.FormatInt(span.To.Unix(), 10)},
		}, &data)
		for _, s := range data.Result {
			line := pictures.Series{Name: q.Legend}
			for label, value := range s.Metric {
				line.Name = strings.ReplaceAll(line.Name, "{{"+label+"}}", value)
			}
			for _, v := range s.Values {
				if at, ok := pointOf(v); ok {
					line.Points = append(line.Points, at)
				}
			}
			all = append(all, line)
		}
	}
	return all
}

// expr is what Grafana would ask with nothing chosen.
func (p *prometheusServer) expr(q dashboards.Query) string {
	return p.shorten(strings.ReplaceAll(q.Expr, "$tenant", ".*"))
}

func pointOf(v [2]any) (pictures.Point, bool) {
	at, _ := v[0].(float64)
	text, _ := v[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	return pictures.Point{At: time.UnixMilli(int64(at * 1000)), Value: value}, err == nil && !math.IsNaN(value) && !math.IsInf(value, 0)
}
