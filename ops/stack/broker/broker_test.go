package broker_test

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"

	"cdds/ops/stack/broker"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// run runs a broker on dir while f does something with it, and returns how the
// broker ended.
func run(t *testing.T, dir string, f func(ctx context.Context, c *kgo.Client)) error {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- broker.Run(ctx, broker.Options{Dir: dir, Port: port, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	}()
	c, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:" + strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for c.Ping(ctx) != nil && ctx.Err() == nil { // it may not listen yet
	}
	if ctx.Err() == nil {
		f(ctx, c)
	}
	stop()
	return <-ended
}

func TestBrokerKeepsOffsetsWithItsRecords(t *testing.T) {
	dir := t.TempDir()
	err := run(t, dir, func(ctx context.Context, c *kgo.Client) { produceAndCommit(ctx, t, c, 5) })
	if err != nil {
		t.Fatal(err)
	}
	err = run(t, dir, func(ctx context.Context, c *kgo.Client) {
		offsets, err := kadm.NewClient(c).FetchOffsets(ctx, "g")
		if o, ok := offsets.Lookup("t", 0); err != nil || !ok || o.At != 5 {
			t.Errorf("offset %v, %v", o, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBrokerRefusesOffsetsPastTheEndOfAPartition(t *testing.T) {
	dir := t.TempDir()
	err := run(t, dir, func(ctx context.Context, c *kgo.Client) {
		produceAndCommit(ctx, t, c, 5)
		all := kadm.Offsets{}
		all.AddOffset("t", 0, 5, -1)
		if _, err := kadm.NewClient(c).DeleteRecords(ctx, all); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	err = run(t, dir, func(context.Context, *kgo.Client) { t.Error("the broker has let a client in") })
	if err == nil || !strings.Contains(err.Error(), "group g has read partition 0 of t up to 5, but the partition ends at 0") {
		t.Errorf("got %v", err)
	}
}

func produceAndCommit(ctx context.Context, t *testing.T, c *kgo.Client, n int64) {
	t.Helper()
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Error(err)
	}
	for range n {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
			t.Error(err)
		}
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("t", 0, n, -1)
	if err := admin.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Error(err)
	}
}
