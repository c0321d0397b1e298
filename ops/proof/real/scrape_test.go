package real

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// scraped is where Prometheus of the compose file looks, by job.
func scraped(t *testing.T) map[string]struct{ addr, path string } {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, "ops", "dashboards", "prometheus.yml"))
	check(t, err)
	var settings struct {
		Jobs []struct {
			Name   string `yaml:"job_name"`
			Path   string `yaml:"metrics_path"`
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	check(t, yaml.Load(content, &settings))
	jobs := map[string]struct{ addr, path string }{}
	for _, j := range settings.Jobs {
		if len(j.Static) != 1 || len(j.Static[0].Targets) != 1 {
			t.Fatalf("job %s has not one target", j.Name)
		}
		jobs[j.Name] = struct{ addr, path string }{j.Static[0].Targets[0], j.Path}
	}
	return jobs
}

func TestComposeServicesListenWhereTheirPrometheusLooks(t *testing.T) {
	project, jobs := composed(t), scraped(t)
	port := func(job string) string {
		host, port, err := net.SplitHostPort(jobs[job].addr)
		check(t, err)
		if host != job { // a job is called as its service
			t.Errorf("job %s looks at %s", job, jobs[job].addr)
		}
		return port
	}
	if listen := *project.Services["cdds"].Environment["CDDS_METRICS_LISTEN"]; listen != "0.0.0.0:"+port("cdds") {
		t.Errorf("cdds has its metrics at %s", listen)
	}

	minio := project.Services["minio"]
	if auth := minio.Environment["MINIO_PROMETHEUS_AUTH_TYPE"]; auth == nil || *auth != "public" {
		t.Error("MinIO wants a token that Prometheus has not")
	}
	if command := strings.Join(minio.Command, " "); !strings.Contains(command, "--address :"+port("minio")+" ") {
		t.Errorf("MinIO listens elsewhere: %s", command)
	}

	var settings struct {
		Prometheus *struct {
			Endpoint     string `xml:"endpoint"`
			Port         string `xml:"port"`
			Asynchronous bool   `xml:"asynchronous_metrics"`
		} `xml:"prometheus"`
	}
	for _, v := range project.Services["clickhouse"].Volumes {
		if v.Type == types.VolumeTypeBind && filepath.Dir(v.Target) == "/etc/clickhouse-server/config.d" {
			content, err := os.ReadFile(v.Source)
			check(t, err)
			check(t, xml.Unmarshal(content, &settings))
		}
	}
	if p := settings.Prometheus; p == nil || p.Endpoint != "/metrics" || p.Port != port("clickhouse") || !p.Asynchronous {
		t.Errorf("ClickHouse is not told to have its metrics there: %+v", p)
	}
}

// The alert's own words are taken, so that a name which MinIO does not know is seen.
func TestMinIOWithTheComposeSettingsHasTheMetricsOfTheStorageAlert(t *testing.T) {
	if minioBinary == "" {
		t.Skip("there is no MinIO: `make test-real` builds it where the Go module proxy is")
	}
	rules, err := os.ReadFile(filepath.Join(top, "ops", "dashboards", "rules", "alerts.yml"))
	check(t, err)
	names := regexp.MustCompile(`\bminio_\w+`).FindAllString(string(rules), -1)
	if len(names) < 2 {
		t.Fatalf("the alert reads only %v", names)
	}
	dir, endpoint := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	var environ []string
	project := composed(t)
	secretsMade(t, project, dir)
	for key, value := range project.Services["minio"].Environment {
		environ = append(environ, key+"="+strings.Replace(*value, "/secrets/", dir+"/", 1))
	}
	start(t, "minio", []string{minioBinary, "server", "--quiet", "--address", endpoint, filepath.Join(dir, "data")}, environ...)

	// MinIO answers before it has looked at its disk.
	var missing []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		missing = nil
		page := fetched(t, "http://"+endpoint+scraped(t)["minio"].path)
		for _, name := range names {
			if !regexp.MustCompile(`(?m)^` + name + `[{ ].*[1-9]`).MatchString(page) {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("MinIO has no %v:\n%.2000s", missing, page)
		}
	}
}

// fetched is the body of an answer, empty where none exists yet.
func fetched(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if r.StatusCode != http.StatusOK {
		return r.Status
	}
	return string(body)
}
