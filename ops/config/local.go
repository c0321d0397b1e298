package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cdds/ops/shell"
)

// DefaultDataDir is where the embedded stack keeps its data.
const DefaultDataDir = ".cdds"

// localFile names the file in a data directory that tells other commands, and
// shells (set -a; . FILE), how to reach the running system: KEY=value lines.
func localFile(dataDir string) string { return filepath.Join(dataDir, "run", "cdds.env") }

// ErrNotRunning says that no system is configured and none runs on the data
// directory.
var ErrNotRunning = errors.New("no running system found")

// WriteLocal tells other commands how to reach the system that runs on dataDir. The
// file is readable by its owner only. remove takes it away again.
func WriteLocal(dataDir string, c Config) (remove func() error, err error) {
	var b strings.Builder
	for _, kv := range [][2]string{
		{"KAFKA_BROKERS", strings.Join(c.Kafka.Brokers, ",")},
		{"CLICKHOUSE_ADDR", strings.Join(c.ClickHouse.Addr, ",")},
		{"CLICKHOUSE_USERNAME", c.ClickHouse.Username},
		{"CLICKHOUSE_PASSWORD", c.ClickHouse.Password.Reveal()},
		{"CLICKHOUSE_DATABASE", c.ClickHouse.Database},
		{"S3_ENDPOINT", c.S3.Endpoint},
		{"S3_ACCESS_KEY", c.S3.AccessKey},
		{"S3_SECRET_KEY", c.S3.SecretKey.Reveal()},
		{"S3_BUCKET", c.S3.Bucket}, {"S3_ATTACHMENTS_BUCKET", c.S3.AttachmentsBucket},
		{"S3_REGION", c.S3.Region},
		{"SERVICE_CERT_FILE", c.Service.CertFile},
		{"SERVICE_KEY_FILE", c.Service.KeyFile},
		{"EXPORT_PSEUDONYM_SECRET_FILE", c.Export.PseudonymSecretFile},
		{"WEBHOOKS_SECRET_FILE", c.Webhooks.SecretFile},
		{"WEBHOOKS_ALLOW_PRIVATE", fmt.Sprint(c.Webhooks.AllowPrivate)},
		{"EXPORT_INLINE_CERTIFICATES", fmt.Sprint(c.Export.InlineCertificates != nil && *c.Export.InlineCertificates)},
	} {
		value := kv[1]
		if value != "" { // nothing needs no quotes, also to readers that are no shell
			value = shell.Quote(value)
		}
		fmt.Fprintf(&b, "CDDS_%s=%s\n", kv[0], value)
	}
	file := localFile(dataDir)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	// Written aside and renamed: a reader never sees half of it, and an old file
	// with wider permissions is not reused.
	temp, err := os.CreateTemp(filepath.Dir(file), "cdds.env.*")
	if err != nil {
		return nil, err
	}
	_, err = temp.WriteString(b.String())
	if err := errors.Join(err, temp.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(temp.Name()))
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(file) }, nil
}

// Find is Load for commands that act on a running system: if nothing is
// configured, it is the one that runs on dataDir. It is ErrNotRunning if none does.
func Find(file, dataDir string, environ []string) (Config, error) {
	c, err := Load(file, environ)
	if err != nil || !c.Embedded() {
		return c, err
	}
	content, err := os.ReadFile(localFile(dataDir))
	if errors.Is(err, os.ErrNotExist) || err == nil && !held(dataDir) {
		return c, fmt.Errorf("%w: nothing is configured and no `cdds up` runs on the data directory %s", ErrNotRunning, dataDir)
	}
	if err != nil {
		return c, fmt.Errorf("read how to reach the running system: %w", err)
	}
	var environment []string
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		environment = append(environment, name+"="+unquote(value))
	}
	return c, c.apply(environment)
}

// unquote undoes shell.Quote.
func unquote(word string) string {
	if !strings.HasPrefix(word, "'") {
		return word
	}
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(word, "'"), "'"), `'\''`, "'")
}
