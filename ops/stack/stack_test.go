package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdds/ops/stack"
	"cdds/ops/stack/stacktest"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold-a-stack-in" {
		holdStack(os.Args[2])
	}
	stacktest.Main(m)
}

// holdStack is a process to be killed: it starts a stack, reports what it is,
// and waits.
func holdStack(dir string) {
	s, err := stack.Start(context.Background(), stack.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(held{s.Endpoints(), s.Pids()})
	select {}
}

type held struct {
	Endpoints stack.Endpoints
	Pids      map[string]int
}

// data is something in every part of the stack.
type data struct{ name string }

func (d data) write(t *testing.T, e stack.Endpoints) {
	t.Helper()
	kc := kafka(t, e)
	_, err := kadm.NewClient(kc).CreateTopic(t.Context(), 1, 1, nil, d.name)
	if err == nil {
		err = kc.ProduceSync(t.Context(), &kgo.Record{Topic: d.name, Value: []byte(d.name)}).FirstErr()
	}
	cc := clickHouse(t, e)
	err = errors.Join(err,
		cc.Exec(t.Context(), "CREATE TABLE "+d.name+" (s String) ENGINE = MergeTree ORDER BY s"),
		cc.Exec(t.Context(), "INSERT INTO "+d.name+" VALUES (?)", d.name))
	mc := s3(t, e)
	err = errors.Join(err, mc.MakeBucket(t.Context(), d.name, minio.MakeBucketOptions{}))
	_, putErr := mc.PutObject(t.Context(), d.name, "a/b", strings.NewReader(d.name), int64(len(d.name)),
		minio.PutObjectOptions{UserMetadata: map[string]string{"rows": "1"}})
	if err := errors.Join(err, putErr); err != nil {
		t.Fatal(err)
	}
}

func (d data) check(t *testing.T, e stack.Endpoints) {
	t.Helper()
	kc := kafka(t, e, kgo.ConsumeTopics(d.name))
	fetches := kc.PollRecords(t.Context(), 1)
	if records := fetches.Records(); fetches.Err() != nil || len(records) != 1 || string(records[0].Value) != d.name || records[0].Offset != 0 {
		t.Errorf("kafka: %d records, %v", len(records), fetches.Err())
	}
	var row string
	if err := clickHouse(t, e).QueryRow(t.Context(), "SELECT s FROM "+d.name).Scan(&row); err != nil || row != d.name {
		t.Errorf("clickhouse: %q, %v", row, err)
	}
	mc := s3(t, e)
	object, err := mc.GetObject(t.Context(), d.name, "a/b", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(object)
	if err != nil || string(body) != d.name {
		t.Errorf("s3: %q, %v", body, err)
	}
	if info, err := object.Stat(); err != nil || info.UserMetadata["Rows"] != "1" {
		t.Errorf("s3 metadata: %v, %v", info.UserMetadata, err)
	}
}

func kafka(t *testing.T, e stack.Endpoints, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(e.Kafka...), kgo.ProducerBatchMaxBytes(10<<20))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func clickHouse(t *testing.T, e stack.Endpoints) clickhouse.Conn {
	t.Helper()
	c, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{e.ClickHouse.Addr},
		Auth: clickhouse.Auth{Database: e.ClickHouse.Database, Username: e.ClickHouse.Username, Password: e.ClickHouse.Password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func s3(t *testing.T, e stack.Endpoints) *minio.Client {
	t.Helper()
	c, err := minio.New(e.S3.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(e.S3.AccessKey, e.S3.SecretKey, ""), Region: e.S3.Region, Secure: e.S3.Secure,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func closed(t *testing.T, s *stack.Stack) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDataOutlivesTheStack(t *testing.T) {
	dir, d := t.TempDir(), data{"first"}
	s := stacktest.StartIn(t, dir)
	d.write(t, s.Endpoints())
	before := s.Endpoints()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if pids := s.Pids(); len(pids) != 0 {
		t.Errorf("still running: %v", pids)
	}
	s = stacktest.StartIn(t, dir)
	d.check(t, s.Endpoints())
	after := s.Endpoints()
	if after.S3.SecretKey != before.S3.SecretKey || after.ClickHouse.Password == before.ClickHouse.Password {
		t.Error("the keys of S3 should be kept, the password of ClickHouse should not")
	}
}

func TestSecretsAreNotInArgumentsEnvironmentOrLogs(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	closed(t, stacktest.StartIn(t, dir))
	s, err := stack.Start(t.Context(), stack.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	public := map[string][]byte{}
	for name, pid := range s.Pids() {
		for _, file := range []string{"cmdline", "environ"} {
			if public[name+" "+file], err = os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file)); err != nil {
				t.Skip("no /proc:", err)
			}
		}
	}
	e := s.Endpoints()
	if err := clickHouse(t, e).Exec(t.Context(), "SELECT no_such_column"); err == nil {
		t.Error("no error")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	public["our log"] = log.Bytes()
	logs, err := filepath.Glob(filepath.Join(dir, "log", "*"))
	if err != nil || len(logs) != 3 {
		t.Fatal(logs, err)
	}
	for _, path := range logs {
		if public[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	for where, text := range public {
		for _, secret := range []string{e.ClickHouse.Password, e.S3.SecretKey} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("a secret is in %s", where)
			}
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "s3-keys.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the keys' file: %v, %v", info, err)
	}
}

func TestBrokerTakesTenMegabytesAndMakesNoTopics(t *testing.T) {
	c := kafka(t, stacktest.Shared(t).Endpoints())
	limit := "10485760"
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, "big"); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 9<<20)
	for i := range value {
		value[i] = byte(i * i >> 7)
	}
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "big", Value: value}).FirstErr(); err != nil {
		t.Error(err)
	}
	topics, err := kadm.NewClient(c).ListTopics(t.Context(), "never-created")
	if err != nil || topics["never-created"].Err == nil {
		t.Errorf("an unknown topic came into being: %v, %v", topics, err)
	}
}

func TestObjectsArePutOnceCopiedAndReadInRanges(t *testing.T) {
	c := s3(t, stacktest.Shared(t).Endpoints())
	ctx := t.Context()
	if err := c.MakeBucket(ctx, "once", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	put := func(body string) error {
		opts := minio.PutObjectOptions{}
		opts.SetMatchETagExcept("*")
		_, err := c.PutObject(ctx, "once", "key", strings.NewReader(body), int64(len(body)), opts)
		return err
	}
	if err := put("first"); err != nil {
		t.Fatal(err)
	}
	if err := put("second"); minio.ToErrorResponse(err).StatusCode != 412 {
		t.Errorf("the second put: %v", err)
	}
	if _, err := c.CopyObject(ctx, minio.CopyDestOptions{Bucket: "once", Object: "copy"}, minio.CopySrcOptions{Bucket: "once", Object: "key"}); err != nil {
		t.Error(err)
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(1, 3); err != nil {
		t.Fatal(err)
	}
	object, err := c.GetObject(ctx, "once", "copy", opts)
	if err != nil {
		t.Fatal(err)
	}
	if part, err := io.ReadAll(object); err != nil || string(part) != "irs" {
		t.Errorf("got %q, %v", part, err)
	}
	wrong, err := minio.New(c.EndpointURL().Host, &minio.Options{Creds: credentials.NewStaticV4("cdds", "wrong-secret", ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.ListBuckets(ctx); err == nil {
		t.Error("wrong keys were accepted")
	}
}

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := stack.Start(b.Context(), stack.Options{Dir: dir})
		if err != nil {
			b.Skip(err)
		}
		began := time.Now()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "close-ms")
	}
}

func TestEverythingKeptIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "open to all")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stacktest.StartIn(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if e.IsDir() && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v: other users read what is in it", e.Name(), info.Mode())
		}
	}
}
