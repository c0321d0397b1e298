package app_test

import (
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/metrics"
	"cdds/pipeline/smime"
)

var update = flag.Bool("update", false, "write generated pages anew")

const metricsPage = "../docs/metrics.md"

func TestEveryMetricIsOnThePageOfMetrics(t *testing.T) {
	t.Parallel()
	page := pageOfMetrics(t)
	if *update {
		check(t, os.MkdirAll(filepath.Dir(metricsPage), 0o755))
		check(t, os.WriteFile(metricsPage, []byte(page), 0o644))
		return
	}
	got, err := os.ReadFile(metricsPage)
	check(t, err)
	if string(got) != page {
		t.Errorf("ops/docs/metrics.md is not what the roles register; go test ./ops/app -run PageOfMetrics -update writes it")
	}
}

// pageOfMetrics lists what all roles together register. It needs no service.
func pageOfMetrics(t *testing.T) string {
	t.Helper()
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "signer", Purpose: smime.Signer})
	check(t, err)
	dir := t.TempDir()
	c := config.Default()
	c.Kafka.Brokers, c.ClickHouse.Addr, c.S3.Endpoint = []string{"127.0.0.1:1"}, []string{"127.0.0.1:1"}, "127.0.0.1:1"
	c.S3.AccessKey, c.S3.SecretKey = "a", "s"
	c.Web.Listen = "127.0.0.1:0"
	c.Service = config.Service{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	check(t, os.WriteFile(c.Service.CertFile, cert, 0o600))
	check(t, os.WriteFile(c.Service.KeyFile, key, 0o600))
	registry := metrics.NewRegistry()
	metrics.Version(registry, "test")
	a, err := app.New(app.Options{Config: c, Roles: app.Roles(), Name: "test", Registry: registry, Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	defer a.Close()

	kinds := map[string]string{}
	families, err := registry.Gather()
	check(t, err)
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	rows := map[string]string{}
	descriptions := make(chan *prometheus.Desc)
	go func() { registry.Describe(descriptions); close(descriptions) }()
	var all []*prometheus.Desc // before anything can fail: the registry is locked meanwhile
	for d := range descriptions {
		all = append(all, d)
	}
	for _, d := range all {
		name, help, labels := described(t, d)
		if !strings.HasPrefix(name, "cdds_") {
			continue // the Go runtime's and the process's own, as everywhere
		}
		kind := kinds[name]
		switch {
		case strings.HasPrefix(name, "cdds_kafka_buffered_"): // franz-go's names
			kind = "gauge"
		case strings.HasPrefix(name, "cdds_kafka_") && strings.HasSuffix(name, "_seconds"):
			kind = "histogram"
		case strings.HasSuffix(name, "_total"):
			kind = "counter"
		case kind == "":
			kind = "gauge"
		}
		rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, kind, labels, help)
	}
	var b strings.Builder
	b.WriteString(`# Metrics

Served at ` + "`/metrics`" + ` of ` + "`metrics.listen`" + ` (CDDS_METRICS_LISTEN), in Prometheus and OpenMetrics form,
histograms also as native ones. No label holds an id but tenant,
which names at most 100 tenants in one metric of a process and calls the rest ~other. Beside
these come the usual ` + "`go_`" + ` and ` + "`process_`" + ` metrics. Times are seconds, sizes bytes.

This page is generated from what the roles register.

| metric | kind | labels | what it says |
|---|---|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[name])
	}
	return b.String()
}

var descriptionForm = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: ("(?:[^"\\]|\\.)*"),(?: unit: "[^"]*",)? constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// described takes a description apart, which client_golang only lets be printed.
func described(t *testing.T, d *prometheus.Desc) (name, help, labels string) {
	t.Helper()
	m := descriptionForm.FindStringSubmatch(d.String())
	if m == nil {
		t.Fatalf("a description prints as %s", d)
	}
	help, err := strconv.Unquote(m[2])
	check(t, err)
	var all []string
	for _, l := range append(strings.Split(m[3], ","), strings.Split(m[4], ",")...) {
		if label, _, _ := strings.Cut(l, "="); label != "" {
			all = append(all, "`"+strings.TrimSuffix(strings.TrimPrefix(label, "c("), ")")+"`")
		}
	}
	return m[1], help, strings.Join(all, " ")
}
