package consumers_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
)

func present(t *testing.T, cluster *kfake.Cluster) (p *consumers.Presence, leave func()) {
	t.Helper()
	p = &consumers.Presence{
		Kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.HeartbeatInterval(20 * time.Millisecond)},
		Group: "cdds.role.shared", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	left := false
	leave = func() {
		if cancel(); !left {
			left = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(leave)
	return p, leave
}

func TestProcessesOfARoleShareItsWork(t *testing.T) {
	cluster, _ := jobsCluster(t)
	first, leave := present(t, cluster)
	// awaitShares waits until every piece of work is exactly one process's, and each has some.
	awaitShares := func(all ...*consumers.Presence) {
		t.Helper()
		var shares []int
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			const pieces = 1000
			shares = make([]int, len(all))
			once := 0
			for n := range pieces {
				owners := 0
				for i, p := range all {
					if p.Mine(fmt.Sprintf("acme/%d", n)) {
						shares[i]++
						owners++
					}
				}
				if owners == 1 {
					once++
				}
			}
			some := 0
			for _, n := range shares {
				if n > pieces/len(all)/2 {
					some++
				}
			}
			if once == pieces && some == len(all) {
				return
			}
		}
		t.Fatalf("of 1000 pieces of work the processes have %v", shares)
	}
	awaitShares(first)
	second, _ := present(t, cluster)
	awaitShares(first, second)
	leave()
	awaitShares(second)
}
