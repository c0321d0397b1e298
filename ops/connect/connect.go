// Package connect makes the clients of Kafka, ClickHouse and S3 from configuration:
// TLS, SASL, time limits and metrics in one place.
package connect

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/plugin/kprom"

	"cdds/ops/config"
	"cdds/pipeline/tables"
)

const (
	dialTimeout = 10 * time.Second
	// clickhouseStill is how long ClickHouse may say nothing: a plan over much history
	// takes its time before the first byte. Lost connections are noticed by TCP keep-alive.
	clickhouseStill = time.Hour
	// s3Still is how long neither side of an upload or a download may move.
	s3Still = 5 * time.Minute
)

// Kafka returns the options of one Kafka client: brokers, TLS, SASL and, where reg is
// given, franz-go's own metrics under the label client. The options serve one client
// only; name tells it apart from others of the process and to the brokers.
func Kafka(c config.Kafka, name string, reg prometheus.Registerer) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("cdds-" + name),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(30 * time.Second),
		kgo.SessionTimeout(c.SessionTimeout),
		// Three may get lost before the session is over; more often than every three
		// seconds only costs.
		kgo.HeartbeatInterval(min(c.SessionTimeout/4, 3*time.Second)),
		// Handlers obey a rebalance at once. A minute, the default, would only let a
		// member that vanished while joining hold up the others for that long; in the
		// embedded Kafka, where each join starts the minute anew, for ever.
		kgo.RebalanceTimeout(min(c.SessionTimeout, time.Minute)),
	}
	if c.TLS.Enabled {
		t, err := TLS(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls: %w", err)
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL.Mechanism != "" {
		mechanism, err := mechanismOf(c.SASL)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"client": name}, reg)
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("cdds_kafka", kprom.Registerer(reg), kprom.Histograms(kprom.RequestDurationE2E))))
	}
	return opts, nil
}

func mechanismOf(c config.SASL) (sasl.Mechanism, error) {
	user, password, err := c.Login()
	if err != nil {
		return nil, err
	}
	switch c.Mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	case config.OAuthBearer:
		return newBearer(c)
	}
	return nil, fmt.Errorf("kafka.sasl.mechanism %q is unknown", c.Mechanism)
}

// ClickHouse opens a pool of HTTP connections. It connects on first use; the caller
// closes it.
func ClickHouse(c config.ClickHouse) (driver.Conn, error) {
	options := &clickhouse.Options{
		Protocol:     clickhouse.HTTP,
		Addr:         c.Addr,
		Auth:         clickhouse.Auth{Database: c.Database, Username: c.Username, Password: c.Password.Reveal()},
		Compression:  &clickhouse.Compression{Method: clickhouse.CompressionNone},
		DialTimeout:  dialTimeout,
		MaxOpenConns: 64,
		MaxIdleConns: 16,
		ReadTimeout:  clickhouseStill,
		DialContext: func(ctx context.Context, addr string) (net.Conn, error) {
			return movingDialer(clickhouseStill)(ctx, "tcp", addr)
		},
	}
	if c.Compression == "gzip" {
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionGZIP, Level: gzip.BestSpeed}
	}
	options.Settings = tables.Settings()
	if c.Cluster != "" {
		maps.Copy(options.Settings, tables.ClusterSettings())
	}
	if c.TLS.Enabled {
		t, err := TLS(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("clickhouse.tls: %w", err)
		}
		options.TLS = t
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("clickhouse: %w", err)
	}
	return meant{conn}, nil
}

// TLS is how a client of ours speaks TLS: whom it trusts and who it is.
func TLS(c config.TLS) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" || c.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// reachable bounds the checks that a service answers.
const reachable = 15 * time.Second

// PingKafka reports whether a broker answers.
func PingKafka(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("Kafka does not answer: %w", err)
	}
	return nil
}
