//go:build !production

package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cdds/ops/config"
	"cdds/ops/stack"
	"cdds/pipeline/smime"
)

// Local is the embedded stack on a data directory, and the configuration to use it.
type Local struct {
	Config config.Config
	Stack  *stack.Stack
	remove func() error
}

// localRetention bounds each partition of the embedded Kafka, which reads all it
// keeps when it starts. ClickHouse has the history by then.
const localRetention = 1 << 30

// StartLocal starts the embedded stack on dataDir, makes the service's certificate
// if it has none, and tells other commands how to reach it. It fails if another
// process has the directory. The caller closes it.
func StartLocal(ctx context.Context, dataDir string, c config.Config, log *slog.Logger, progress func(string)) (*Local, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	s, err := stack.Start(ctx, stack.Options{
		Dir:       dataDir,
		KafkaPort: c.Stack.KafkaPort, ClickHousePort: c.Stack.ClickHousePort, S3Port: c.Stack.S3Port,
		EngineMemory: int64(c.Stack.EngineMemory),
		Logger:       log, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	l := &Local{Config: c, Stack: s, remove: func() error { return nil }}
	e := s.Endpoints()
	l.Config.Kafka.Brokers = e.Kafka
	l.Config.ClickHouse.Addr = []string{e.ClickHouse.Addr}
	l.Config.ClickHouse.Username, l.Config.ClickHouse.Database = e.ClickHouse.Username, e.ClickHouse.Database
	l.Config.ClickHouse.Password = config.Secret(e.ClickHouse.Password)
	l.Config.S3.Endpoint, l.Config.S3.Region = e.S3.Endpoint, e.S3.Region
	l.Config.S3.AccessKey, l.Config.S3.SecretKey = e.S3.AccessKey, config.Secret(e.S3.SecretKey)
	if l.Config.Kafka.Replication == 0 {
		l.Config.Kafka.Replication = 1 // there is one broker
	}
	if l.Config.Kafka.RetentionBytes < 0 {
		l.Config.Kafka.RetentionBytes = localRetention
	}
	if l.Config.Export.InlineCertificates == nil {
		// Whoever can write to the topic is the owner of this machine.
		allowed := true
		l.Config.Export.InlineCertificates = &allowed
	}
	if l.Config.Service.CertFile == "" {
		if l.Config.Service, err = ensureSigner(filepath.Join(dataDir, "service")); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	l.Config.Web.FirstUser = true
	if l.Config.Web.SessionKeyFile == "" {
		l.Config.Web.SessionKeyFile = filepath.Join(dataDir, "service", "session.key")
	}
	hooks, exports := &l.Config.Webhooks, &l.Config.Export
	if hooks.Secret == "" {
		hooks.SecretFile = filepath.Join(dataDir, "service", "webhook.secret")
		if hooks.Secret, err = ensureSecret(hooks.SecretFile); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if exports.PseudonymSecret == "" {
		exports.PseudonymSecretFile = filepath.Join(dataDir, "service", "pseudonym.secret")
		if exports.PseudonymSecret, err = ensureSecret(exports.PseudonymSecretFile); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if l.remove, err = config.WriteLocal(dataDir, l.Config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return l, nil
}

// Wait returns when ctx ends, or a service of the stack is given up.
func (l *Local) Wait(ctx context.Context) error { return l.Stack.Wait(ctx) }

// Close stops the stack; its data stays.
func (l *Local) Close() error { return errors.Join(l.remove(), l.Stack.Close()) }

// ensureSigner makes the service's certificate in dir unless it is there.
func ensureSigner(dir string) (config.Service, error) {
	c := config.Service{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	if _, err := os.Stat(c.CertFile); err == nil {
		return c, nil
	}
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{
		CommonName: "CDDS on this machine", Purpose: smime.Signer, Validity: 10 * 365 * 24 * time.Hour,
	})
	if err != nil {
		return c, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, err
	}
	// The certificate last: where it is, the key is too.
	for _, f := range []struct {
		name    string
		content []byte
		mode    os.FileMode
	}{{c.KeyFile, key, 0o600}, {c.CertFile, cert, 0o644}} {
		if err := os.WriteFile(f.name, f.content, f.mode); err != nil {
			return c, fmt.Errorf("keep the service certificate: %w", err)
		}
	}
	return c, nil
}

// ensureSecret reads a secret that others are derived from, and makes it unless it is there.
func ensureSecret(file string) (config.Secret, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		content = []byte(hex.EncodeToString(random))
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = os.WriteFile(file, content, 0o600)
		}
	}
	if err != nil {
		return "", fmt.Errorf("keep the secret %s: %w", filepath.Base(file), err)
	}
	return config.Secret(strings.TrimSpace(string(content))), nil
}
