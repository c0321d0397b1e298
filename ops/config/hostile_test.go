package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"cdds/ops/config"
)

// TestEverySlipOfAConfigurationIsReported is a table of what people write. Each is one line of
// YAML, or a variable; want is in what is said of it, and nothing else is said.
func TestEverySlipOfAConfigurationIsReported(t *testing.T) {
	for slip, want := range map[string]string{
		"kafka: {brokers: ['kafka:99999']}":                                  `kafka.brokers: "kafka:99999" is not host:port`,
		"kafka: {brokers: [':9092']}":                                        `kafka.brokers: ":9092" is not host:port`,
		"kafka: {brokers: ['kafka:']}":                                       `kafka.brokers: "kafka:" is not host:port`,
		"kafka: {brokers: ['kafka://kafka:9092']}":                           `kafka.brokers: "kafka://kafka:9092" is not host:port`,
		"kafka: {brokers: ['a:1,b:2']}":                                      `kafka.brokers: "a:1,b:2" is not host:port`,
		"clickhouse: {addr: ['http://clickhouse:8123']}":                     `clickhouse.addr: "http://clickhouse:8123" is not host:port`,
		"clickhouse: {addr: [clickhouse]}":                                   `clickhouse.addr: "clickhouse" is not host:port`,
		"s3: {endpoint: 'https://minio:9000', access_key: a, secret_key: s}": `s3.endpoint: "https://minio:9000" is not host:port, without a scheme`,
		"s3: {endpoint: 'minio:9000/cdds', access_key: a, secret_key: s}":    `s3.endpoint: "minio:9000/cdds" is not host:port`,
		"s3: {endpoint: 's3.eu-central-1.amazonaws.com', tls: {enabled: true}, access_key: a, secret_key: s}": "",
		"s3: {endpoint: 'minio:9000', access_key: a, secret_key: s}":                                          "",
		"s3: {endpoint: 'minio:9000', credentials: static}":                                                   "s3.credentials: static needs s3.access_key and s3.secret_key_file (or s3.secret_key) for s3.endpoint \"minio:9000\"; for the credentials of a role set s3.credentials to iam or web_identity",
		"s3: {endpoint: 'minio:9000'}":                                                                        "needs s3.access_key and s3.secret_key_file (or s3.secret_key)",
		"s3: {endpoint: 'minio:9000', access_key: a}":                                                         "static needs s3.secret_key_file (or s3.secret_key) for",
		"s3: {endpoint: 'minio:9000', secret_key: s}":                                                         "static needs s3.access_key for",
		"s3: {endpoint: 'minio:9000', access_key: a, secret_key_file: /dev/null}":                             "static needs more than blanks in s3.secret_key_file (/dev/null) for",
		"s3: {endpoint: 'minio:9000', credentials: iam}":                                                      "",
		"s3: {access_key: a}":                                                 "", // the embedded stack has its own
		"kafka: {sasl: {mechanism: PLAIN}}":                                   "kafka.sasl.mechanism: PLAIN needs kafka.sasl.username and kafka.sasl.password_file (or kafka.sasl.password)",
		"kafka: {sasl: {mechanism: SCRAM-SHA-256, username: u}}":              "kafka.sasl.mechanism: SCRAM-SHA-256 needs kafka.sasl.password_file (or kafka.sasl.password)",
		"kafka: {sasl: {mechanism: SCRAM-SHA-512, password: p}}":              "kafka.sasl.mechanism: SCRAM-SHA-512 needs kafka.sasl.username",
		"kafka: {sasl: {mechanism: SCRAM-SHA-512, username: u, password: p}}": "",
		"CDDS_KAFKA_SASL_MECHANISM=PLAIN":                                     "kafka.sasl.mechanism: PLAIN needs kafka.sasl.username and",
		"CDDS_S3_ENDPOINT=minio:9000":                                         "static needs s3.access_key and",
		"s3: {bucket: ''}":                                                    "s3.bucket is empty",
		"metrics: {listen: '9180'}":                                           `metrics.listen: "9180" is not host:port`,
		"metrics: {listen: ':9180'}":                                          "",
		"web: {listen: '127.0.0.1:70000'}":                                    `web.listen "127.0.0.1:70000" is not host:port`,
		"{metrics: {listen: '127.0.0.1:8080'}}":                               "metrics.listen and web.listen are the same",
		"kafka: {tls: {ca_file: /ca.pem}}":                                    "kafka.tls.enabled is not set, and other settings of kafka.tls are",
		"s3: {tls: {enabled: true, cert_file: /c.pem}}":                       "s3.tls.cert_file and s3.tls.key_file belong together",
		"service: {cert_file: /c.pem}":                                        "service.cert_file and service.key_file belong together",
		"tracing: {sample_ratio: .nan}":                                       "tracing.sample_ratio must be from 0 to 1",
		"export: {slots: 010}":                                                "", // ten, in YAML 1.2
		"export: {memory: -5}":                                                `export.memory: "-5" is not a size such as 64MiB`,
		"export: {memory: 64MB}":                                              "",
		"export: {lifetime: -30d}":                                            "export.lifetime, export.ingest_wait and export.retry_for must be positive",
		"export: {lifetime: 1 month}":                                         `"1 month" is not a duration`,
		"export: {retry_for: 15}":                                             `"15" is not a duration`,
		"kafka: {partitions: 3.5}":                                            `"3.5" must be a whole number`,
		"kafka: {partitions: '4'}":                                            "",
		"kafka: {partitions: four}":                                           `"four" must be a whole number`,
		"stack: {kafka_port: 70000}":                                          "stack.kafka_port must be 0 to 65535",
		"web: {links: 1}":                                                     "",
		"web: {links: maybe}":                                                 `"maybe" must be true or false`,
		"clickhouse: {username: 0123}":                                        "",
		"clickhouse: {database: 'a b'}":                                       `clickhouse.database "a b" is no name`,
		"CDDS_EXPORT_LIFETIME_BY_TENANT=acme:1d,acme:2d":                      "acme is named twice",
		"CDDS_KAFKA_BROKERS=a:1,,b:2":                                         `kafka.brokers: "" is not host:port`,
		"CDDS_TRACING_SAMPLE_RATIO=NaN":                                       "tracing.sample_ratio must be from 0 to 1",
		"CDDS_WEB_LINKS=yes":                                                  "",
		"CDDS_WEB_LINKS=on":                                                   "",
	} {
		file, environ, place := write(t, "\n\n"+slip), []string(nil), ":3: "
		if name, _, ok := strings.Cut(slip, "="); ok {
			file, environ, place = "", []string{slip}, name+": "
		}
		c, err := config.Load(file, environ)
		if err == nil {
			err = c.CheckSettings()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err != nil && (strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), place)) {
			t.Errorf("%s\n\tis answered with %v\n\twant %q", slip, err, want)
		}
	}
	for yaml, got := range map[string]func(config.Config) string{
		"export: {slots: 010}":               func(c config.Config) string { return strings.Repeat("x", c.Export.Slots) },
		"clickhouse: {username: xxxxxxxxxx}": func(c config.Config) string { return c.ClickHouse.Username },
	} {
		c, err := config.Load(write(t, yaml), nil)
		if err != nil || got(c) != "xxxxxxxxxx" {
			t.Errorf("%s is %q, %v", yaml, got(c), err)
		}
	}
	c, err := config.Load(write(t, "clickhouse: {username: 0123, password: 0x10}\ns3: {access_key: 1e3, secret_key: yes, bucket: true, region: ~}"), nil)
	if got := c.ClickHouse.Username + " " + c.ClickHouse.Password.Reveal() + " " + c.S3.AccessKey + " " + c.S3.SecretKey.Reveal() + " " + c.S3.Bucket + " " + c.S3.Region; err != nil || got != "0123 0x10 1e3 yes true us-east-1" {
		t.Errorf("texts are read as %q, %v", got, err)
	}
}

// TestMistakesOfEveryKindAreReportedTogether: what cannot be read hides not what is wrong with
// the rest, and nothing is said of what is missing, which may be in what cannot be read.
func TestMistakesOfEveryKindAreReportedTogether(t *testing.T) {
	file := write(t, "kafka:\n  broker: [a:1]\n  partitions: 0\nexport:\n  memory: much\n  lifetime_by_tenant: {ACME: 1d}\ns3: {endpoint: 'https://minio'}\n")
	c, err := config.Load(file, []string{"CDDS_WEB_LISTEN=:8080", "CDDS_WEB_LINKS=maybe"})
	var got []string
	for _, of := range []error{err, c.CheckWritten()} {
		if of == nil {
			t.Fatal("nothing is wrong")
		}
		got = append(got, strings.Split(strings.ReplaceAll(of.Error(), file, "cdds.yaml"), "\n")...)
	}
	for _, want := range []string{
		"cdds.yaml:2: kafka.broker: unknown key; did you mean brokers?", `cdds.yaml:5: export.memory: "much" is not a size`, `CDDS_WEB_LINKS: "maybe" must be true or false`,
		"cdds.yaml:3: kafka.partitions must be at least 1", `cdds.yaml:6: export.lifetime_by_tenant: "ACME" is not a tenant id`,
		`cdds.yaml:7: s3.endpoint: "https://minio" is not host:port`, `CDDS_WEB_LISTEN: web.listen ":8080" is not loopback`,
	} {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("%q is not in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if len(got) != 7 {
		t.Errorf("reported are %d:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// TestProblemsAreSortedByLine: those of lines first, in the order in which they are mended.
func TestProblemsAreSortedByLine(t *testing.T) {
	file := write(t, "web: {cert_file: /gone.pem}\ns3:\n  endpoint: 'https://minio'\n  bucket: ''\nexport: {lifetime: -1d}\nclickhouse: {addr: [c]}\nkafka:\n  sasl: {mechanism: PLAIN}\n  brokers: [k]\n  partitions: 0\n")
	c, err := config.Load(file, []string{"CDDS_METRICS_LISTEN=nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for line := range strings.Lines(config.Join(errors.New("missing"), c.Check(), c.CheckFiles()).Error()) {
		at, _, _ := strings.Cut(strings.TrimPrefix(line, file+":"), ":")
		places = append(places, strings.TrimSpace(at))
	}
	want := []string{"1", "1", "3", "3", "4", "5", "6", "8", "9", "10", "missing", "CDDS_METRICS_LISTEN"}
	if !slices.Equal(places, want) {
		t.Errorf("reported are\n%v\nwant\n%v", places, want)
	}
}

func TestAFileThatIsNamedAndCannotBeReadIsReported(t *testing.T) {
	dir, there := t.TempDir(), write(t, "here")
	c, err := config.Load(write(t, "kafka: {tls: {enabled: true, ca_file: "+there+"}}\ns3: {tls: {enabled: true, ca_file: /nowhere/ca.pem}}\nweb: {session_key_file: /not/yet, cert_file: "+dir+", key_file: "+there+"}\n"), []string{"CDDS_SERVICE_CERT_FILE=/gone.pem"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.CheckFiles()
	for _, want := range []string{":2: s3.tls.ca_file: open /nowhere/ca.pem: no such file", ":3: web.cert_file: " + dir + " is a directory", "CDDS_SERVICE_CERT_FILE: service.cert_file: open /gone.pem"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
