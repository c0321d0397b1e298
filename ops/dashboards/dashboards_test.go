package dashboards

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	files, _ := filepath.Glob("rules/*.yml")
	var all []rule
	for _, file := range files {
		content, err := os.ReadFile(file)
		check(t, err)
		var doc struct {
			Groups []struct {
				Rules []rule `yaml:"rules"`
			} `yaml:"groups"`
		}
		check(t, yaml.Load(content, &doc))
		for _, g := range doc.Groups {
			all = append(all, g.Rules...)
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d rules were read", len(all))
	}
	return all
}

// expressions of all panels, by dashboard and title.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	read, err := Read()
	check(t, err)
	all := map[string]string{}
	for _, d := range read {
		for _, p := range d.Panels {
			if p.Title == "" || p.Description == "" || len(p.Queries) == 0 {
				t.Errorf("%s: a panel without title, description or query: %q", d.File, p.Title)
			}
			for n, q := range p.Queries {
				all[fmt.Sprintf("%s: %s %d", d.File, p.Title, n)] = q.Expr
			}
		}
	}
	if len(all) < 40 {
		t.Fatalf("only %d queries were read", len(all))
	}
	return all
}

var (
	ours   = regexp.MustCompile(`\bcdds[_:][a-z0-9_:]+`)
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

func TestRulesAndDashboardsNameMetricsThatExist(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	check(t, err)
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(cdds_[a-z0-9_]+)` \\| (\\w+)").FindAllStringSubmatch(string(page), -1) {
		known[m[1]] = true
		if m[2] == "histogram" {
			known[m[1]+"_bucket"], known[m[1]+"_count"], known[m[1]+"_sum"] = true, true, true
		}
	}
	all := expressions(t)
	for _, r := range rules(t) {
		if r.Record != "" {
			known[r.Record] = true
		}
		all["rule "+r.Record+r.Alert] = r.Expr
	}
	for where, expr := range all {
		for _, name := range ours.FindAllString(quoted.ReplaceAllString(expr, `""`), -1) {
			if !known[name] {
				t.Errorf("%s names %s, which does not exist", where, name)
			}
		}
	}
	if known["cdds_nonsense"] || len(known) < 50 {
		t.Errorf("%d metrics are known: the page was not understood", len(known))
	}
}

// exported says which job of prometheus.yml has a metric that is not ours. ops/proof/real asks a
// real MinIO for its; ClickHouse makes DiskTotal_NAME and DiskAvailable_NAME of each disk
// (src/Interpreters/ServerAsynchronousMetrics.cpp), and calls the first one default.
var exported = map[string]string{
	"minio_cluster_capacity_usable_free_bytes":     "minio",
	"minio_cluster_capacity_usable_total_bytes":    "minio",
	"ClickHouseAsyncMetrics_DiskAvailable_default": "clickhouse",
	"ClickHouseAsyncMetrics_DiskTotal_default":     "clickhouse",
}

var (
	// aside is what holds names of labels, not of metrics.
	aside = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	named = regexp.MustCompile(`\b[A-Za-z_:][A-Za-z0-9_:]*\b\s*\(?`)
	words = map[string]bool{"and": true, "or": true, "unless": true, "bool": true, "offset": true, "by": true, "on": true}
)

// selected are the metrics that an expression reads.
func selected(expr string) (names []string) {
	for _, name := range named.FindAllString(aside.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), " "), -1) {
		if name = strings.TrimSpace(name); !strings.HasSuffix(name, "(") && !words[name] {
			names = append(names, name)
		}
	}
	return names
}

// An alert on what nobody scrapes never fires, and promtool cannot tell.
func TestEveryMetricOfTheRulesIsScrapedByAJobOfPrometheus(t *testing.T) {
	content, err := os.ReadFile("prometheus.yml")
	check(t, err)
	var settings struct {
		Jobs []struct {
			Name string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	check(t, yaml.Load(content, &settings))
	jobs, foreign := map[string]bool{}, 0
	for _, j := range settings.Jobs {
		jobs[j.Name] = true
	}
	for _, r := range rules(t) {
		names := selected(r.Expr)
		if len(names) == 0 {
			t.Errorf("%s%s: no metric was found in %s", r.Record, r.Alert, r.Expr)
		}
		for _, name := range names {
			job := "cdds"
			if !ours.MatchString(name) && name != "up" {
				job, foreign = exported[name], foreign+1
			}
			if !jobs[job] {
				t.Errorf("%s%s reads %s, which no job scrapes", r.Record, r.Alert, name)
			}
		}
	}
	if foreign == 0 {
		t.Error("no metric of another service was found: the expressions were not understood")
	}
}

func TestEveryAlertHasARunbookAndACaseOfFiringAndOfSilence(t *testing.T) {
	page, err := os.ReadFile("../docs/runbooks.md")
	check(t, err)
	cases, err := os.ReadFile("rules_test.yml")
	check(t, err)
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		file, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		if file != "ops/docs/runbooks.md" || !strings.Contains(strings.ToLower(string(page)), "\n## "+anchor+"\n") {
			t.Errorf("%s: there is no runbook %s", r.Alert, r.Annotations["runbook_url"])
		}
		if !strings.Contains(string(cases), "alertname: "+r.Alert+", exp_alerts: []") {
			t.Errorf("%s: no case says when it is silent", r.Alert)
		}
		if !strings.Contains(string(cases), "alertname: "+r.Alert+"\n        exp_alerts:\n") {
			t.Errorf("%s: no case says when it fires", r.Alert)
		}
	}
}

func TestPromtoolAgreesWithTheRules(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed; `ops/tools/install promtool=prometheus` does it")
	}
	files, _ := filepath.Glob("rules/*.yml")
	for _, args := range [][]string{
		append([]string{"check", "rules"}, files...),
		{"check", "config", "prometheus.yml"},
		{"test", "rules", "rules_test.yml"},
	} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Every panel's query is put into a rules file, which promtool parses as Prometheus would.
func TestPromtoolReadsTheQueriesOfTheDashboards(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed; `ops/tools/install promtool=prometheus` does it")
	}
	type entry struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var entries []entry
	for _, expr := range expressions(t) {
		entries = append(entries, entry{"query", expr})
	}
	content, err := yaml.Dump(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": entries}}})
	check(t, err)
	file := filepath.Join(t.TempDir(), "panels.yml")
	check(t, os.WriteFile(file, content, 0o600))
	out, err := exec.Command("promtool", "check", "rules", "--lint=none", file).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
