package consumers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// Cluster is the Kafka that Groups read: see NewCluster. It is an interface so that one in
// memory can lose what no broker loses on demand: records, topics, sessions, time. All that
// a Group decides is on this side of it.
type Cluster interface {
	// Join makes a member of a group. It reads committed records, and control records.
	Join(m Membership) (Member, error)
	// Follow reads a partition from an offset on, in no group, otherwise like a member. It
	// fails where the log does not have the offset.
	Follow(topic schemas.Topic, partition int32, from int64) (Follower, error)
}

// Membership is a member to be, and how it learns of its partitions. The functions run one
// at a time, and never between a Poll that returned and the next Allow; they may be called
// before Join returns, and with no partition.
type Membership struct {
	Group string
	Topic schemas.Topic
	// Assigned: the partitions are the member's from now on.
	Assigned func(m Member, partitions []int32)
	// Begin returns where to read partitions that were assigned, given what the group has
	// committed of them: the offset -1 stands for nothing. What the answer leaves out is read
	// from there, or from where the log begins.
	Begin func(ctx context.Context, m Member, committed map[int32]kgo.EpochOffset) (map[int32]kgo.EpochOffset, error)
	// Revoked: the partitions go to other members once it returns.
	Revoked func(ctx context.Context, m Member, partitions []int32)
	// Lost: the partitions are other members' already.
	Lost func(partitions []int32)
}

// Member is a member of a consumer group. Its methods have the contracts of the ones of
// kgo.Client they are named after.
type Member interface {
	// Poll waits for records, and errors in place of records. Rebalances wait from its return
	// to the next Allow.
	Poll(ctx context.Context) kgo.Fetches
	Allow()
	// Commit commits offsets and returns the partitions it was refused for; with an error
	// nothing is known of any.
	Commit(ctx context.Context, offsets map[int32]kgo.EpochOffset) (refused map[int32]error, err error)
	// Pause leaves a partition out of fetches until Resume, also after it went and came back.
	Pause(partition int32)
	Resume(partition int32)
	// Seek goes on with a partition elsewhere. No commit may be under way.
	Seek(partition int32, to kgo.EpochOffset)
	// Joined reports whether the group has accepted the member.
	Joined() bool
	// Brokers are those the member is connected to.
	Brokers() Brokers
	// Leave revokes all partitions and leaves the group; Close ends everything else.
	Leave(ctx context.Context) error
	Close()
}

// Follower reads one partition.
type Follower interface {
	Poll(ctx context.Context) kgo.Fetches
	Seek(to kgo.EpochOffset)
	Close()
}
