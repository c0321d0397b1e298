package consumers

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/schemas"
)

const (
	// See Memory in the package documentation. They count bytes as they travel, and
	// compressed JSON unpacks to several times as much, so they are small. A producer
	// batch over these is still delivered, alone (KIP-74): a partition's must hold what
	// producers send by default (max.request.size, 1 MiB), or else a Group that catches up
	// gets one partition at a time.
	fetchMaxBytes          = 4 << 20
	fetchMaxPartitionBytes = 1 << 20
	// fetchMaxWait bounds how long a partition that is resumed waits for a fetch
	// under way without it. The price is two empty fetches a second when idle.
	fetchMaxWait = 500 * time.Millisecond
)

// kafka is the Cluster that client options lead to.
type kafka struct{ members, followers []kgo.Opt }

// NewCluster returns the brokers that client options lead to: seeds, TLS, SASL, hooks. The
// rest is set here. Each Member has a client with the options for members, one at a time;
// each Follower has one with those for followers, several at once: their hooks must not
// serve one client only. It reaches for no broker.
func NewCluster(members, followers []kgo.Opt) (Cluster, error) {
	for _, opts := range [][]kgo.Opt{append(reading(members, newUnpacker()), kgo.ConsumerGroup("any")), reading(followers, newUnpacker())} {
		if err := kgo.ValidateOpts(opts...); err != nil {
			return nil, fmt.Errorf("consumers: Kafka options: %w", err)
		}
	}
	return kafka{members, followers}, nil
}

// reading adds the options of whoever reads records for good, and unpacks them with u.
func reading(opts []kgo.Opt, u *unpacker) []kgo.Opt {
	return append(append([]kgo.Opt{kgo.FetchMaxWait(fetchMaxWait)}, opts...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(fetchMaxPartitionBytes),
		kgo.WithDecompressor(u),
	)
}

func (k kafka) Join(m Membership) (Member, error) {
	topic := string(m.Topic)
	made, joined := make(chan struct{}), kafkaMember{reader: newReader(topic)}
	begin := func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
		<-made
		committed := make(map[int32]kgo.EpochOffset, len(offsets[topic]))
		for p, o := range offsets[topic] {
			committed[p] = o.EpochOffset()
			if committed[p].Offset < 0 {
				committed[p] = kgo.EpochOffset{Epoch: -1, Offset: -1}
			}
		}
		from, err := m.Begin(ctx, joined, committed)
		if err != nil {
			return offsets, err
		}
		maps.Copy(committed, from)
		if err := joined.beginAt(ctx, committed); err != nil {
			return offsets, err
		}
		for p, at := range committed {
			if at.Offset < 0 {
				continue // where the log begins
			}
			offsets[topic][p] = kgo.NewOffset().At(at.Offset).WithEpoch(at.Epoch)
		}
		return offsets, nil
	}
	client, err := kgo.NewClient(append(reading(k.members, joined.unpacker),
		kgo.ConsumerGroup(m.Group),
		kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, c *kgo.Client, all map[string][]int32) {
			m.Assigned(joined.with(c), all[topic])
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, all map[string][]int32) {
			m.Revoked(ctx, joined.with(c), all[topic])
			joined.forget(all[topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, all map[string][]int32) {
			m.Lost(all[topic])
			joined.forget(all[topic])
		}),
		kgo.AdjustFetchOffsetsFn(begin),
		// An offset that is not in the log any more: start at what still exists.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("consumers: Kafka client: %w", err)
	}
	joined.client = client
	close(made)
	return joined, nil
}

// kafkaMember is a Member, by a client of its own.
type kafkaMember struct {
	client *kgo.Client
	*reader
}

func (m kafkaMember) with(c *kgo.Client) kafkaMember { return kafkaMember{c, m.reader} }

func (m kafkaMember) Poll(ctx context.Context) kgo.Fetches { return m.poll(ctx, m.client) }

// beginAt notes where partitions are read from. Those of which nothing is committed get an offset,
// too: the client moves no partition that it knows no offset of.
func (m kafkaMember) beginAt(ctx context.Context, from map[int32]kgo.EpochOffset) error {
	var starts schemas.Snapshot
	for p, at := range from {
		if at.Offset >= 0 {
			continue
		}
		if starts == nil {
			var err error
			if starts, err = m.Brokers().Starts(ctx, schemas.Topic(m.topic)); err != nil {
				return err
			}
		}
		if int(p) < len(starts) {
			from[p] = kgo.EpochOffset{Epoch: -1, Offset: starts[p]}
		}
	}
	m.begin(from)
	return nil
}

func (m kafkaMember) Allow()                          { m.client.AllowRebalance() }
func (m kafkaMember) Pause(partition int32)           { m.client.PauseFetchPartitions(m.only(partition)) }
func (m kafkaMember) Resume(partition int32)          { m.client.ResumeFetchPartitions(m.only(partition)) }
func (m kafkaMember) Brokers() Brokers                { return Kafka(m.client) }
func (m kafkaMember) Leave(ctx context.Context) error { return m.client.LeaveGroupContext(ctx) }
func (m kafkaMember) Close()                          { m.client.Close() }

func (m kafkaMember) Seek(partition int32, to kgo.EpochOffset) { m.seek(m.client, partition, to) }

func (m kafkaMember) Joined() bool {
	_, generation := m.client.GroupMetadata()
	return generation >= 0
}

func (m kafkaMember) only(partition int32) map[string][]int32 {
	return map[string][]int32{m.topic: {partition}}
}

func (m kafkaMember) Commit(ctx context.Context, offsets map[int32]kgo.EpochOffset) (refused map[int32]error, err error) {
	refused = map[int32]error{}
	m.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{m.topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, failed error) {
			if err = failed; err != nil {
				return
			}
			for _, t := range response.Topics {
				for _, p := range t.Partitions {
					if refusal := kerr.ErrorForCode(p.ErrorCode); refusal != nil {
						refused[p.Partition] = refusal
					}
				}
			}
		})
	return refused, err
}

func (k kafka) Follow(topic schemas.Topic, partition int32, from int64) (Follower, error) {
	r := newReader(string(topic))
	client, err := kgo.NewClient(append(reading(k.followers, r.unpacker),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{string(topic): {partition: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))...)
	if err != nil {
		return nil, fmt.Errorf("consumers: Kafka client: %w", err)
	}
	r.begin(map[int32]kgo.EpochOffset{partition: {Epoch: -1, Offset: from}})
	return kafkaFollower{client, r, partition}, nil
}

// kafkaFollower is a Follower, by a client of its own.
type kafkaFollower struct {
	client *kgo.Client
	*reader
	partition int32
}

func (f kafkaFollower) Poll(ctx context.Context) kgo.Fetches { return f.poll(ctx, f.client) }

func (f kafkaFollower) Close() { f.client.Close() }

func (f kafkaFollower) Seek(to kgo.EpochOffset) { f.seek(f.client, f.partition, to) }
