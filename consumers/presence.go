package consumers

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// Presence shows that a role runs where the role itself is in no consumer group: as a
// member of a group that consumes nothing. Whoever describes the group sees how many
// processes run the role, and a process that dies leaves it as it would leave any group.
// The partitions a member is assigned are its share of the role's work (Mine).
type Presence struct {
	// Kafka says how to reach the brokers.
	Kafka  []kgo.Opt
	Group  string
	Logger *slog.Logger

	share atomic.Pointer[share]
}

// share is which of a topic's partitions a member is assigned.
type share struct {
	of   uint32
	mine map[int32]bool
}

// sharedTopic is the one whose partitions are assigned: a group needs one, and this one is
// small.
const sharedTopic = string(schemas.TopicJobs)

// Mine reports whether the work of a key is this process's share. Until the group
// has assigned shares, and while it cannot, everything is. A share is a hint: for a moment two
// processes may have the same one, or a share may be no process's.
func (p *Presence) Mine(key string) bool {
	s := p.share.Load()
	if s == nil {
		return true
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	return s.mine[int32(h.Sum32()%s.of)]
}

// shares keeps Mine up to date with what the group assigns.
func (p *Presence) shares() []kgo.Opt {
	now := share{mine: map[int32]bool{}}
	publish := func() {
		if now.of > 0 {
			p.share.Store(&share{now.of, maps.Clone(now.mine)})
		}
	}
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(func(ctx context.Context, client *kgo.Client, added map[string][]int32) {
			for _, n := range added[sharedTopic] {
				now.mine[n] = true
			}
			topics, err := kadm.NewClient(client).ListTopics(ctx, sharedTopic)
			if err == nil {
				now.of = uint32(len(topics[sharedTopic].Partitions))
			}
			publish()
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			for _, n := range gone[sharedTopic] {
				delete(now.mine, n)
			}
			publish()
		}),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) {
			clear(now.mine)
			p.share.Store(nil)
		}),
	}
}

// Run is a member until ctx ends. It never fails: a role works whether or not it is seen.
func (p *Presence) Run(ctx context.Context) error {
	client, err := kgo.NewClient(slices.Concat(p.Kafka, p.shares(), []kgo.Opt{
		kgo.ConsumerGroup(p.Group), kgo.ConsumeTopics(sharedTopic), kgo.DisableAutoCommit(),
	})...)
	if err != nil {
		return fmt.Errorf("consumers: Kafka client: %w", err)
	}
	defer client.Close()
	client.PauseFetchTopics(sharedTopic)
	var logged everySoOften
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		fetches.EachError(func(_ string, _ int32, err error) {
			if logged.now() {
				p.Logger.Warn("the role runs, but cannot show it to `cdds doctor`", "group", p.Group, "error", err)
			}
		})
	}
}
