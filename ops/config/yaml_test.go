package config_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/ops/config"
)

func TestAnEmptyFileLeavesTheDefaults(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing yet\n", "---\n", "---\n# nothing\n...\n", "kafka:\nexport:\n  lifetime:\n  slots: ~\n", "{}\n", "\ufeff"} {
		c, err := config.Load(write(t, content), nil)
		if err != nil || !reflect.DeepEqual(c, config.Default()) {
			t.Errorf("%q: %+v, %v", content, c, err)
		}
	}
}

func TestAFileMayBeWrittenInAnyStyleOfYAML(t *testing.T) {
	for name, content := range map[string]string{
		"flow":    "kafka: {brokers: [kafka-1:9093, kafka-2:9093], session_timeout: 90s}\nexport: {lifetime_by_tenant: {acme: 2d}}\n",
		"block":   "kafka:\n  brokers:\n  - kafka-1:9093\n  - kafka-2:9093\n  session_timeout: 90s\nexport:\n  lifetime_by_tenant:\n    acme: 48h\n",
		"JSON":    `{"kafka": {"brokers": ["kafka-1:9093", "kafka-2:9093"], "session_timeout": "90s"}, "export": {"lifetime_by_tenant": {"acme": "2d"}}}`,
		"anchors": "%YAML 1.2\n---\nkafka:\n  brokers: &all [kafka-1:9093, 'kafka-2:9093']\n  session_timeout: &s \"90s\"\nexport: {lifetime_by_tenant: {acme: 1d24h}}\n",
	} {
		c, err := config.Load(write(t, content), nil)
		if err != nil || fmt.Sprint(c.Kafka.Brokers) != "[kafka-1:9093 kafka-2:9093]" || c.Kafka.SessionTimeout != 90*time.Second || c.Export.LifetimeOf("acme") != 48*time.Hour {
			t.Errorf("%s: %+v, %v", name, c.Kafka, err)
		}
	}
	c, err := config.Load(write(t, "web:\n  links: yes\n  oidc:\n    grants:\n    - {claim: groups, value: '7', tenant: '*', role: viewer}\nexport: {inline_certificates: true, slots: 0x10}\ntracing: {sample_ratio: .5}\n"), nil)
	if err != nil || !c.Web.Links || c.Web.OIDC.Grants[0] != (config.Grant{Claim: "groups", Value: "7", Tenant: "*", Role: "viewer"}) || !*c.Export.InlineCertificates || c.Export.Slots != 16 || c.Tracing.SampleRatio != 0.5 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestEveryMistakeOfAFileIsReportedWithItsLineAndKey(t *testing.T) {
	file := write(t, `export:
  lifetime: 30d
  ingest_wait: soon
  retry_for: 5
  memory: much
  slots: many
  lifetime_by_tenant: {acme: 1d, globex: never}
kafka:
  brokers: a:1
  broker: b:2
  partitions: 99999999999
  partitions: 4
web: on
stack: {kafka_port: [1]}
Metrics: {}
`)
	_, err := config.Load(file, nil)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		got = append(got, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), file+":"))
	}
	want := []string{
		`3: export.ingest_wait: "soon" is not a duration such as 90s, 15m, 720h or 30d`,
		`4: export.retry_for: "5" is not a duration such as 90s, 15m, 720h or 30d`,
		`5: export.memory: "much" is not a size such as 64MiB`,
		`6: export.slots: "many" must be a whole number in range`,
		`7: export.lifetime_by_tenant.globex: "never" is not a duration such as 90s, 15m, 720h or 30d`,
		`9: kafka.brokers: must be a list, such as [a, b]`,
		`10: kafka.broker: unknown key; did you mean brokers?`,
		`11: kafka.partitions: "99999999999" must be a whole number in range`,
		`12: kafka.partitions: appears twice, first in line 11`,
		`13: web: must be keys with values, such as key: value`,
		`14: stack.kafka_port: "" must be a whole number in range`,
		`15: Metrics: unknown key; did you mean metrics?`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFileIsOneDocumentOfYAML(t *testing.T) {
	for content, want := range map[string]string{
		"kafka:\n  partitions: 4\n---\nexport:\n  lifetime: 1h\n": ":3: a second document begins here",
		"kafka: [\n":          "not YAML",
		"kafka:\n\t- a\n":     ":2: not YAML",
		"kafka: *nowhere\n":   ":1: not YAML",
		"kafka: \xff\n":       "not YAML",
		"just text\n":         ":1: must be keys with values",
		"kafka: &a {x: *a}\n": "unknown key",
	} {
		if _, err := config.Load(write(t, content), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

func TestVariablesAreReadAsTheFileIsAndTheirMistakesNameThem(t *testing.T) {
	c, err := config.Load("", []string{
		"CDDS_EXPORT_LIFETIME=30d", "CDDS_EXPORT_LIFETIME_BY_TENANT=acme:10d, globex:48h", "CDDS_KAFKA_BROKERS=a:1, b:2",
		"CDDS_EXPORT_INLINE_CERTIFICATES=false", "CDDS_KAFKA_REPLICATION=3", "CDDS_EXPORT_MEMORY=1GiB", "CDDS_TRACING_SAMPLE_RATIO=0.1", "CDDS_S3_BUCKET=",
	})
	if err != nil || c.Export.Lifetime != 720*time.Hour || c.Export.LifetimeOf("globex") != 48*time.Hour || c.Export.LifetimeOf("acme") != 240*time.Hour ||
		fmt.Sprint(c.Kafka.Brokers) != "[a:1 b:2]" || *c.Export.InlineCertificates || c.Kafka.Replication != 3 || c.Export.Memory != 1<<30 || c.S3.Bucket != "cdds" {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = config.Load("", []string{"CDDS_EXPORT_LIFETIME=soon", "CDDS_KAFKA_REPLICATION=70000", "CDDS_WEB_LINKS=perhaps", "CDDS_EXPORT_LIFETIME_BY_TENANT=acme"})
	for _, want := range []string{
		`CDDS_EXPORT_LIFETIME: "soon" is not a duration`, `CDDS_KAFKA_REPLICATION: "70000" must be a whole number in range`,
		`CDDS_WEB_LINKS: "perhaps" must be true or false`, `CDDS_EXPORT_LIFETIME_BY_TENANT: "acme" is not NAME:VALUE`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

// TestTheEnvironmentCountsMoreThanTheFileAlsoForSecrets: a secret can be given in two
// ways in each of two places.
func TestTheEnvironmentCountsMoreThanTheFileAlsoForSecrets(t *testing.T) {
	a, b := write(t, "from-a\n"), write(t, "from-b\n")
	for _, c := range []struct {
		name, yaml string
		environ    []string
		want       string
	}{
		{"only the file", "s3: {secret_key: yaml}", nil, "yaml"},
		{"only the file's file", "s3: {secret_key_file: " + a + "}", nil, "from-a"},
		{"value over value", "s3: {secret_key: yaml}", []string{"CDDS_S3_SECRET_KEY=env"}, "env"},
		{"value over file", "s3: {secret_key_file: " + a + "}", []string{"CDDS_S3_SECRET_KEY=env"}, "env"},
		{"value over a file that is gone", "s3: {secret_key_file: /does/not/exist}", []string{"CDDS_S3_SECRET_KEY=env"}, "env"},
		{"file over value", "s3: {secret_key: yaml}", []string{"CDDS_S3_SECRET_KEY_FILE=" + b}, "from-b"},
		{"file over file", "s3: {secret_key_file: " + a + "}", []string{"CDDS_S3_SECRET_KEY_FILE=" + b}, "from-b"},
		{"an empty variable says nothing", "s3: {secret_key_file: " + a + "}", []string{"CDDS_S3_SECRET_KEY="}, "from-a"},
	} {
		got, err := config.Load(write(t, c.yaml), c.environ)
		if err != nil || got.S3.SecretKey.Reveal() != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got.S3.SecretKey.Reveal(), err, c.want)
		}
	}
	for _, environ := range [][]string{{"CDDS_S3_SECRET_KEY=x", "CDDS_S3_SECRET_KEY_FILE=" + a}, nil} {
		if _, err := config.Load(write(t, "s3: {secret_key: x, secret_key_file: "+a+"}"), environ); err == nil || !strings.Contains(err.Error(), "both set") {
			t.Errorf("a secret set two ways in one place: %v", err)
		}
	}
}

func TestDurationsMayBeInDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "-1d12h": -36 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute,
	} {
		if got, err := config.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "30", "30 d", "1.5d", "1d-2h", "1dd", "106752d", "106751d24h", "9999999999999999999d", "+1d", "1w"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		if got, err := config.ParseDuration(d.String()); err != nil || got != d {
			t.Fatalf("%s is read as %s, %v", d, got, err)
		}
	})
}

func TestEveryVariableTakesAValue(t *testing.T) {
	if n := len(config.Variables()); n < 70 {
		t.Errorf("only %d variables", n)
	}
	file := write(t, "a secret")
	for _, name := range config.Variables() {
		if !slices.ContainsFunc([]string{file, "1", "1h", "a:1h", "a:1"}, func(value string) bool {
			_, err := config.Load("", []string{name + "=" + value})
			return err == nil
		}) {
			t.Errorf("%s takes no value", name)
		}
	}
}
