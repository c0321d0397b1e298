package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/ops/config"
)

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cdds.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNothingConfiguredMeansTheEmbeddedStack(t *testing.T) {
	c, err := config.Load("", nil)
	if err != nil || !c.Embedded() || c.Export.Lifetime != 30*24*time.Hour || c.Metrics.Listen != "127.0.0.1:0" {
		t.Errorf("the default is %+v, %v", c, err)
	}
}

func TestTheEnvironmentOverridesTheFileAndTheFileTheDefault(t *testing.T) {
	file := write(t, "kafka:\n  brokers: [a:1, b:2]\n  partitions: 12\nexport:\n  memory: 64MiB\n  lifetime: 48h\nclickhouse:\n  password: from-file\n")
	c, err := config.Load(file, []string{"CDDS_KAFKA_BROKERS=c:3", "CDDS_CLICKHOUSE_PASSWORD=from-env", "HOME=/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(c.Kafka.Brokers) != "[c:3]" || c.Kafka.Partitions != 12 || c.Kafka.Replication != 0 {
		t.Errorf("kafka = %+v", c.Kafka)
	}
	if c.Export.Memory != 64<<20 || c.Export.Lifetime != 48*time.Hour || c.ClickHouse.Password.Reveal() != "from-env" {
		t.Errorf("export = %+v, password %q", c.Export, c.ClickHouse.Password.Reveal())
	}
}

func TestAnUnknownKeyIsRefusedWithFileAndLine(t *testing.T) {
	file := write(t, "kafka:\n  brokers: [a:1]\n  broker: b:2\n")
	_, err := config.Load(file, nil)
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "3") || !strings.Contains(err.Error(), "broker") {
		t.Errorf("the error is %v", err)
	}
}

func TestASecretIsReadFromItsFileAndNeverPrinted(t *testing.T) {
	const canary = "hunter2-canary"
	c, err := config.Load("", []string{"CDDS_S3_SECRET_KEY_FILE=" + write(t, canary+"\n"), "CDDS_KAFKA_SASL_PASSWORD=" + canary})
	if err != nil || c.S3.SecretKey.Reveal() != canary {
		t.Fatalf("secret = %q, %v", c.S3.SecretKey.Reveal(), err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), string(asJSON)} {
		if strings.Contains(printed, canary) {
			t.Errorf("the secret is in %s", printed)
		}
	}
	if _, err := config.Load("", []string{"CDDS_S3_SECRET_KEY_FILE=/does/not/exist"}); err == nil {
		t.Error("a secret file that is not there was no error")
	}
}

func TestCheckReportsEveryProblemAtOnce(t *testing.T) {
	c := config.Default()
	c.Kafka.SASL.Mechanism, c.Metrics.Listen, c.Export.Memory = "GUESS", "nowhere", 1
	err := c.Check()
	for _, want := range []string{"CDDS_KAFKA_BROKERS", "CDDS_CLICKHOUSE_ADDR", "CDDS_S3_ENDPOINT", "GUESS", "nowhere", "export.memory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// Settings of a name that no tenant can have would never count.
func TestSettingsOfATenantThatCannotBeAreRefused(t *testing.T) {
	c := config.Default()
	c.Export.LifetimeByTenant = map[string]time.Duration{"ACME": time.Hour}
	c.History.KeepContactsByTenant = map[string]time.Duration{"a cme": 48 * time.Hour, "acme": 48 * time.Hour}
	c.Web.URL = "https://cdds.example.com"
	c.Web.OIDC = config.OIDC{Issuer: "https://login.example.com", ClientID: "cdds", ClientSecret: "s", Grants: []config.Grant{
		{Claim: "g", Value: "v", Tenant: "Acme", Role: "viewer"}, {Claim: "g", Value: "v", Tenant: "*", Role: "viewer"}, {Claim: "g", Value: "v", Tenant: "acme", Role: "viewer"},
	}}
	err := c.Check()
	if err == nil {
		t.Fatal("nothing is refused")
	}
	for _, want := range []string{`export.lifetime_by_tenant: "ACME" is not a tenant id`, `history.keep_contacts_by_tenant: "a cme" is not a tenant id`, `web.oidc.grants[0]: tenant "Acme" is not a tenant id`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "is not a tenant id"); n != 3 {
		t.Errorf("%d are refused: %v", n, err)
	}
}

func TestARunningSystemIsFoundThroughItsDataDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := config.Find("", dir, nil); !errors.Is(err, config.ErrNotRunning) {
		t.Errorf("with nothing running: %v", err)
	}
	running := config.Default()
	running.Kafka.Brokers, running.ClickHouse.Addr = []string{"127.0.0.1:1"}, []string{"127.0.0.1:2"}
	running.ClickHouse.Password = "p=a#s's \"w"
	running.S3.Endpoint, running.S3.AccessKey, running.S3.SecretKey = "127.0.0.1:3", "a", "s"
	running.Service.CertFile, running.Service.KeyFile = dir+"/a b/$(touch x)/cert.pem", dir+"/a b/$(touch x)/key.pem"
	remove, err := config.WriteLocal(dir, running)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Find("", dir, nil); !errors.Is(err, config.ErrNotRunning) {
		t.Errorf("what a killed system left behind was taken for a running one: %v", err)
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	sourced, err := exec.Command("sh", "-c", `set -a; . "$0"; printf %s "$CDDS_SERVICE_CERT_FILE"`, filepath.Join(dir, "run", "cdds.env")).Output()
	if err != nil || string(sourced) != running.Service.CertFile {
		t.Errorf("a shell reads %q, %v", sourced, err)
	}
	found, err := config.Find("", dir, nil)
	if err != nil || found.Check() != nil || found.ClickHouse.Password != running.ClickHouse.Password || found.S3.Endpoint != running.S3.Endpoint || found.Service != running.Service {
		t.Errorf("found %+v, %v, %v", found, err, found.Check())
	}
	info, err := os.Stat(filepath.Join(dir, "run", "cdds.env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the secrets is %v, %v", info.Mode(), err)
	}
	if other, err := config.Find("", dir, []string{"CDDS_KAFKA_BROKERS=k:9"}); err != nil || other.Kafka.Brokers[0] != "k:9" || other.S3.Endpoint != "" {
		t.Errorf("what is configured must win over what runs here: %+v, %v", other, err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Find("", dir, nil); !errors.Is(err, config.ErrNotRunning) {
		t.Errorf("after it ended: %v", err)
	}
}

// FuzzLoad: whatever the file holds, Load returns, and what it accepts twice is the
// same twice.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"", "kafka:\n  brokers: [a:1]\n", "export: {memory: 1GiB, lifetime: 1h}", "s3: [", "stack:\n  kafka_port: -1\n", "&a [*a]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		one, err := config.Load(file, nil)
		two, again := config.Load(file, nil)
		if (err == nil) != (again == nil) || fmt.Sprint(one) != fmt.Sprint(two) {
			t.Errorf("twice the same file: %v, %v", err, again)
		}
	})
}

func TestPlainHTTPIsForLoopbackUnlessAProxyDoesTLS(t *testing.T) {
	for _, c := range []struct {
		why  string
		web  config.Web
		fine bool
	}{
		{"nothing said", config.Web{}, true},
		{"loopback", config.Web{Listen: "127.0.0.1:0"}, true},
		{"loopback by name", config.Web{Listen: "localhost:8080"}, true},
		{"everywhere", config.Web{Listen: ":8080"}, false},
		{"everywhere, by address", config.Web{Listen: "0.0.0.0:8080"}, false},
		{"everywhere with TLS", config.Web{Listen: ":8443", CertFile: "c", KeyFile: "k"}, true},
		{"everywhere behind a proxy", config.Web{Listen: ":8080", BehindProxy: true, URL: "https://cdds.example.com"}, true},
		{"behind a proxy of no name", config.Web{Listen: ":8080", BehindProxy: true}, false},
		{"a certificate without its key", config.Web{CertFile: "c"}, false},
		{"a provider and nobody it lets in", config.Web{URL: "https://x", OIDC: config.OIDC{Issuer: "https://i", ClientID: "c"}}, false},
		{"a grant without a tenant", config.Web{URL: "https://x", OIDC: config.OIDC{Issuer: "https://i", ClientID: "c", Grants: []config.Grant{{Claim: "a", Value: "b", Role: "viewer"}}}}, false},
		{"a proxy that is not a network", config.Web{TrustedProxies: []string{"proxy"}}, false},
		{"proxies by address and by network", config.Web{TrustedProxies: []string{"10.0.0.1", "2001:db8::/64"}, ProxyHops: 2}, true},
		{"fewer proxies than none", config.Web{ProxyHops: -1}, false},
	} {
		all := config.Default()
		all.Kafka.Brokers, all.ClickHouse.Addr, all.S3.Endpoint = []string{"k:1"}, []string{"c:1"}, "s:1"
		all.S3.AccessKey, all.S3.SecretKey = "a", "s"
		c.web.SessionIdle, c.web.SessionAbsolute = all.Web.SessionIdle, all.Web.SessionAbsolute
		if c.web.Listen == "" {
			c.web.Listen = all.Web.Listen
		}
		all.Web = c.web
		if err := all.Check(); (err == nil) != c.fine {
			t.Errorf("%s: %v", c.why, err)
		}
	}
}
