// Package config loads and checks the configuration of CDDS: defaults, then one
// YAML file, then the environment (CDDS_...), then flags, each over the one before.
// Without any of them everything has a working default on the embedded stack.
package config

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Config is everything that can be configured.
type Config struct {
	Kafka      Kafka      `yaml:"kafka" envPrefix:"KAFKA_"`
	ClickHouse ClickHouse `yaml:"clickhouse" envPrefix:"CLICKHOUSE_"`
	S3         S3         `yaml:"s3" envPrefix:"S3_"`
	Metrics    Metrics    `yaml:"metrics" envPrefix:"METRICS_"`
	Service    Service    `yaml:"service" envPrefix:"SERVICE_"`
	Export     Export     `yaml:"export" envPrefix:"EXPORT_"`
	Retention  Retention  `yaml:"retention" envPrefix:"RETENTION_"`
	History    History    `yaml:"history" envPrefix:"HISTORY_"`
	Hold       Hold       `yaml:"hold" envPrefix:"HOLD_"`
	Schedule   Schedule   `yaml:"schedule" envPrefix:"SCHEDULE_"`
	Webhooks   Webhooks   `yaml:"webhooks" envPrefix:"WEBHOOKS_"`
	Stack      Stack      `yaml:"stack" envPrefix:"STACK_"`
	Web        Web        `yaml:"web" envPrefix:"WEB_"`
	Tracing    Tracing    `yaml:"tracing" envPrefix:"TRACING_"`

	from map[string]place // where each key was given its value
}

// Stack shapes the embedded stack.
type Stack struct {
	// Ports on 127.0.0.1; 0 takes a free one.
	KafkaPort      int `yaml:"kafka_port" env:"KAFKA_PORT"`
	ClickHousePort int `yaml:"clickhouse_port" env:"CLICKHOUSE_PORT"`
	S3Port         int `yaml:"s3_port" env:"S3_PORT"`
	// EngineMemory caps what ClickHouse allocates; the process needs about 30 % more.
	EngineMemory Bytes `yaml:"engine_memory" env:"ENGINE_MEMORY"`
}

// Kafka says where the brokers are and how to speak to them.
type Kafka struct {
	// Brokers are host:port seeds. Empty means the embedded stack.
	Brokers []string `yaml:"brokers" env:"BROKERS"`
	TLS     TLS      `yaml:"tls" envPrefix:"TLS_"`
	SASL    SASL     `yaml:"sasl" envPrefix:"SASL_"`
	// Partitions and Replication are what provisioning gives new topics. With 3 replicas a
	// record counts once 2 have it (min.insync.replicas). Replication 0 is 3, and 1 on the
	// embedded stack, which has one broker.
	Partitions  int32 `yaml:"partitions" env:"PARTITIONS"`
	Replication int16 `yaml:"replication" env:"REPLICATION"`
	// RetentionBytes bounds each partition of new topics; -1 keeps everything.
	RetentionBytes Bytes `yaml:"retention_bytes" env:"RETENTION_BYTES"`
	// SessionTimeout is after how long without a heartbeat a role is believed dead
	// and its partitions go to others. Brokers allow 6 s to 30 min unless told otherwise.
	SessionTimeout time.Duration `yaml:"session_timeout" env:"SESSION_TIMEOUT"`
}

// ClickHouse says where ClickHouse's HTTP interface is.
type ClickHouse struct {
	// Addr is host:port of HTTP (8123) or HTTPS (8443).
	Addr         []string `yaml:"addr" env:"ADDR"`
	Username     string   `yaml:"username" env:"USERNAME"`
	Password     Secret   `yaml:"password" env:"PASSWORD"`
	PasswordFile string   `yaml:"password_file" env:"PASSWORD_FILE"`
	Database     string   `yaml:"database" env:"DATABASE"`
	// Cluster is the name that the servers' remote_servers has for them; empty means one
	// server. It is for the first start: tables of one server do not become a cluster's.
	Cluster string `yaml:"cluster" env:"CLUSTER"`
	// Compression of what goes to and from ClickHouse: none, or gzip, which is worth its
	// CPU only over a network of less than some 300 Mbit/s (ops/docs/performance.md).
	Compression string `yaml:"compression" env:"COMPRESSION"`
	TLS         TLS    `yaml:"tls" envPrefix:"TLS_"`
}

// TLS says whether and how a connection is encrypted.
type TLS struct {
	Enabled bool `yaml:"enabled" env:"ENABLED"`
	// CAFile holds the PEM certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file" env:"CA_FILE"`
	// CertFile and KeyFile are this client's own, for mutual TLS.
	CertFile string `yaml:"cert_file" env:"CERT_FILE"`
	KeyFile  string `yaml:"key_file" env:"KEY_FILE"`
}

// Metrics says where /metrics, /healthz, /readyz and pprof listen.
type Metrics struct {
	// Listen is host:port; port 0 takes a free one.
	Listen string `yaml:"listen" env:"LISTEN"`
}

// Service holds the service's own certificate, which signs manifests.
type Service struct {
	CertFile string `yaml:"cert_file" env:"CERT_FILE"`
	KeyFile  string `yaml:"key_file" env:"KEY_FILE"`
}

// Schedule shapes the schedule role.
type Schedule struct {
	// Every is how often the clock is looked at.
	Every time.Duration `yaml:"every" env:"EVERY"`
	// Late is by how much a run must be late to count as missed.
	Late time.Duration `yaml:"late" env:"LATE"`
	// MaxCatchUp bounds the missed runs of a job that are made up for.
	MaxCatchUp int `yaml:"max_catch_up" env:"MAX_CATCH_UP"`
}

// Webhooks shapes the webhooks role.
type Webhooks struct {
	// Secret is at least 32 bytes from which each job's signing secret is derived.
	Secret     Secret `yaml:"secret" env:"SECRET"`
	SecretFile string `yaml:"secret_file" env:"SECRET_FILE"`
	// Timeout bounds one attempt.
	Timeout time.Duration `yaml:"timeout" env:"TIMEOUT"`
	// FirstRetry is the pause after the first attempt; each after it is twice as long, up
	// to an hour.
	FirstRetry time.Duration `yaml:"first_retry" env:"FIRST_RETRY"`
	// GiveUpAfter bounds how long the delivery of one event is retried.
	GiveUpAfter time.Duration `yaml:"give_up_after" env:"GIVE_UP_AFTER"`
	// AllowPrivate lets webhooks be http, and at loopback, link-local and private
	// addresses: only where whoever defines jobs may reach those anyway.
	AllowPrivate bool `yaml:"allow_private" env:"ALLOW_PRIVATE"`
}

// Retention shapes the retention role.
type Retention struct {
	// Every is how often expired artifacts are looked for.
	Every time.Duration `yaml:"every" env:"EVERY"`
	// SweepEvery is how often bucket and history are compared.
	SweepEvery time.Duration `yaml:"sweep_every" env:"SWEEP_EVERY"`
	// Grace is how old a disagreement between them must be to be repaired.
	Grace time.Duration `yaml:"grace" env:"GRACE"`
}

// MinWebhookSecret is the least length of webhooks.secret in bytes.
const MinWebhookSecret = 32

// Default is the configuration where nothing is configured.
func Default() Config {
	return Config{
		Kafka:      Kafka{Partitions: 4, RetentionBytes: -1, SessionTimeout: 45 * time.Second},
		ClickHouse: ClickHouse{Username: "default", Database: "cdds", Compression: "none"},
		S3:         S3{Credentials: S3Static, Bucket: "cdds", AttachmentsBucket: "cdds-attachments", Region: "us-east-1"},
		Metrics:    Metrics{Listen: "127.0.0.1:0"},
		Stack:      Stack{EngineMemory: 4 << 30},
		Export:     Export{Memory: 192 << 20, SegmentSize: 256 << 20, Lifetime: 30 * 24 * time.Hour, IngestWait: 10 * time.Minute, RetryFor: 15 * time.Minute},
		Schedule:   Schedule{Every: time.Second, Late: 5 * time.Minute, MaxCatchUp: 100},
		Webhooks:   Webhooks{Timeout: 10 * time.Second, FirstRetry: 5 * time.Second, GiveUpAfter: 24 * time.Hour},
		Retention:  Retention{Every: 5 * time.Minute, SweepEvery: 6 * time.Hour, Grace: 24 * time.Hour},
		History:    History{AgeEvery: time.Hour},
		Web:        Web{Listen: DefaultWebListen, ProxyHops: 1, SessionIdle: time.Hour, SessionAbsolute: 12 * time.Hour},
		Tracing:    Tracing{SampleRatio: 1},
	}
}

// Embedded reports whether no service is configured, so that the embedded stack is
// to be used.
func (c Config) Embedded() bool {
	return len(c.Kafka.Brokers) == 0 && len(c.ClickHouse.Addr) == 0 && c.S3.Endpoint == ""
}

// Load reads the YAML file (none if empty) and then environ, a list of KEY=value. The
// problems of both are reported at once: with file, line and key, or with the variable.
// Unknown variables are no problem here: an orchestrator sets some of its own (CDDS_PORT
// for a service named cdds).
func Load(file string, environ []string) (Config, error) {
	c := Default()
	var problems []error
	if file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		problems = c.over(file, func() []error { return readYAML(file, content, &c) })
	}
	problems = append(problems, c.apply(environ))
	return c, Join(problems...)
}

// apply sets what environ says over what there is.
func (c *Config) apply(environ []string) error {
	problems := c.over("environment", func() []error { return readEnviron(environ, c) })
	return errors.Join(append(problems, c.readSecrets())...)
}

// Check reports every problem of a configuration that is to be used against
// services, all at once.
func (c Config) Check() error {
	var problems []error
	add := func(problem string) { problems = append(problems, errors.New(problem)) }
	if len(c.Kafka.Brokers) == 0 {
		add("kafka.brokers (CDDS_KAFKA_BROKERS) is missing")
	}
	if len(c.ClickHouse.Addr) == 0 {
		add("clickhouse.addr (CDDS_CLICKHOUSE_ADDR) is missing")
	}
	if c.S3.Endpoint == "" {
		add("s3.endpoint (CDDS_S3_ENDPOINT) is missing")
	}
	return Join(append(problems, c.CheckSettings())...)
}

// CheckSettings reports every problem but missing services, which the embedded stack
// takes the place of.
func (c Config) CheckSettings() error {
	p := problems{of: c}
	c.checkSettings(p.add)
	c.checkLogins(p.add)
	return Join(p.all...)
}

// checkLogins reports names, passwords and keys that are missing. The embedded stack has keys of
// its own.
func (c Config) checkLogins(add func(format string, args ...any)) {
	if _, _, err := c.Kafka.SASL.Login(); err != nil {
		add("%v", err)
	}
	if _, _, err := c.S3.Keys(); err != nil && c.S3.Endpoint != "" {
		add("%v", err)
	}
}

func (c Config) checkSettings(add func(format string, args ...any)) {
	c.S3.check(add)
	c.checkServices(add)
	if c.Kafka.Partitions < 1 || c.Kafka.Replication < 0 {
		add("kafka.partitions must be at least 1, and kafka.replication too, or 0 for the default")
	}
	if c.Kafka.SessionTimeout < time.Second {
		add("kafka.session_timeout must be at least 1s")
	}
	c.Kafka.SASL.check(c.Kafka.TLS.Enabled, add)
	if c.ClickHouse.Cluster != "" && !identifier(c.ClickHouse.Cluster) {
		add("clickhouse.cluster %q is no name: letters, digits, _ and - only", c.ClickHouse.Cluster)
	}
	if !identifier(c.ClickHouse.Database) {
		add("clickhouse.database %q is no name: letters, digits, _ and - only", c.ClickHouse.Database)
	}
	if c.ClickHouse.Compression != "none" && c.ClickHouse.Compression != "gzip" {
		add("clickhouse.compression %q is unknown; it must be none or gzip", c.ClickHouse.Compression)
	}
	c.Export.check(add)
	if c.Schedule.Every <= 0 || c.Schedule.Late <= 0 || c.Schedule.MaxCatchUp < 1 {
		add("schedule.every, schedule.late and schedule.max_catch_up must be positive")
	}
	if c.Webhooks.Timeout <= 0 || c.Webhooks.FirstRetry <= 0 || c.Webhooks.GiveUpAfter <= 0 {
		add("webhooks.timeout, webhooks.first_retry and webhooks.give_up_after must be positive")
	}
	if n := len(c.Webhooks.Secret); n > 0 && n < MinWebhookSecret {
		add("webhooks.secret has the length %d; give at least %d bytes, for example from `openssl rand -hex 32`", n, MinWebhookSecret)
	}
	if c.Retention.Every <= 0 || c.Retention.SweepEvery <= 0 || c.Retention.Grace <= 0 {
		add("retention.every, retention.sweep_every and retention.grace must be positive")
	}
	c.History.check(add)
	c.Web.check(add)
	c.Tracing.check(add)
}

// LongestLifetime is the longest any tenant's artifacts live.
func (e Export) LongestLifetime() time.Duration {
	longest := e.Lifetime
	for _, l := range e.LifetimeByTenant {
		longest = max(longest, l)
	}
	return longest
}
