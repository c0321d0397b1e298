package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cdds/ops/dashboards"
	"cdds/schemas"
)

// prometheus evaluates the project's rules over what the replicas show.
type prometheus struct {
	url     string
	targets string // file
	cmd     *exec.Cmd
}

// minutes finds the durations of rules: for, and ranges.
var minutes = regexp.MustCompile(`(for: |\[)(\d+)([mh])\b`)

// shortened are rules whose minutes last less.
func shortened(rules string, minute time.Duration) string {
	return minutes.ReplaceAllStringFunc(rules, func(found string) string {
		m := minutes.FindStringSubmatch(found)
		n, _ := strconv.Atoi(m[2])
		if m[3] == "h" {
			n *= 60
		}
		return fmt.Sprintf("%s%dms", m[1], time.Duration(n)*minute/time.Millisecond)
	})
}

// startPrometheus returns nil where Prometheus is not installed.
func startPrometheus(dir string, minute time.Duration) (*prometheus, error) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, nil //nolint:nilerr // the day goes on without alerts, and says so
	}
	all, err := dashboards.Rules()
	if err != nil {
		return nil, err
	}
	for name, rules := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(shortened(rules, minute)), 0o600); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "prometheus.yml")
	err = os.WriteFile(file, []byte(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [alerts.yml, recording.yml]
scrape_configs:
  - job_name: cdds
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
`), 0o600)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	if err != nil {
		return nil, err
	}
	p := &prometheus{url: "http://" + addr, targets: filepath.Join(dir, "targets.json"), cmd: exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+addr, "--enable-feature=native-histograms", "--log.level=warn")}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = own()
	return p, p.cmd.Start()
}

// watch has Prometheus scrape these replicas and no others.
func (p *prometheus) watch(replicas ...*replica) error {
	if p == nil {
		return nil
	}
	targets := []string{}
	for _, r := range replicas {
		targets = append(targets, r.metrics)
	}
	content, err := json.Marshal([]map[string]any{{"targets": targets}})
	if err != nil {
		return err
	}
	return os.WriteFile(p.targets, content, 0o600)
}

func (p *prometheus) stop() {
	if p != nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	}
}

// firing are the alerts that fire, each with what it is about.
func (p *prometheus) firing() ([]string, error) {
	if p == nil {
		return nil, nil
	}
	answer, err := http.Get(p.url + "/api/v1/alerts")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var said struct {
		Data struct {
			Alerts []struct {
				State  string            `json:"state"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		} `json:"data"`
	}
	content, err := io.ReadAll(answer.Body)
	if err == nil {
		err = schemas.Read(content, &said)
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for _, a := range said.Data.Alerts {
		if a.State == "firing" {
			all = append(all, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["service"]+a.Labels["group"]+a.Labels["stage"]))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
