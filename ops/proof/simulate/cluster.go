package simulate

import (
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
)

// cluster is a Kafka: topics, groups and what brokers believe. Only the scheduler touches
// it; processes reach it through a conn, step by step.
type cluster struct {
	w      *world
	topics map[string]*topicLog
	groups map[string]*group
	// nameless brokers know no topic ids.
	nameless bool
	// stale are topics that are gone and whose id brokers still answer.
	stale map[string]stale
	// off is set once everything has moved to another Kafka.
	off bool
}

type stale struct {
	*topicLog
	until time.Time
}

// metadataTimeout is how long brokers may answer the id of a topic that is gone.
const metadataTimeout = time.Second

func newCluster(w *world) *cluster {
	return &cluster{w: w, topics: map[string]*topicLog{}, groups: map[string]*group{}, stale: map[string]stale{}}
}

// group is a consumer group: what it committed, and its members.
type group struct {
	name       string
	offsets    map[string]map[int32]consumers.Mark // by topic
	members    []*member
	generation int
}

func (c *cluster) group(name string) *group {
	g := c.groups[name]
	if g == nil {
		g = &group{name: name, offsets: map[string]map[int32]consumers.Mark{}}
		c.groups[name] = g
	}
	return g
}

func (g *group) commit(topic string, offsets map[int32]kgo.EpochOffset) {
	if g.offsets[topic] == nil {
		g.offsets[topic] = map[int32]consumers.Mark{}
	}
	for p, at := range offsets {
		g.offsets[topic][p] = consumers.Mark{Offset: at.Offset, Epoch: at.Epoch}
	}
}

// committed is a copy of what the group has committed of a topic.
func (g *group) committed(topic string) map[int32]consumers.Mark {
	all := map[int32]consumers.Mark{}
	maps.Copy(all, g.offsets[topic])
	return all
}
