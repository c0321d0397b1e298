package simulate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/schemas"
)

// conn is a cluster as one process reaches it: it is the Brokers and the Cluster of package
// consumers.
type conn struct {
	p *process
	c *cluster
}

func (k conn) direct() direct { return direct{k.c} }

// TopicID implements consumers.Brokers.
func (k conn) TopicID(ctx context.Context, topic schemas.Topic) (id string, err error) {
	err = k.p.ask(ctx, atKafka, "id of "+string(topic), func() (err error) { id, err = k.direct().TopicID(ctx, topic); return err })
	return id, err
}

// Starts implements consumers.Brokers.
func (k conn) Starts(ctx context.Context, topic schemas.Topic) (all schemas.Snapshot, err error) {
	err = k.p.ask(ctx, atKafka, "starts of "+string(topic), func() (err error) { all, err = k.direct().Starts(ctx, topic); return err })
	return all, err
}

// Ends implements consumers.Brokers.
func (k conn) Ends(ctx context.Context, topic schemas.Topic) (all []consumers.Mark, err error) {
	err = k.p.ask(ctx, atKafka, "ends of "+string(topic), func() (err error) { all, err = k.direct().Ends(ctx, topic); return err })
	return all, err
}

// Stable implements consumers.Brokers.
func (k conn) Stable(ctx context.Context, topic schemas.Topic) (all []consumers.Mark, err error) {
	err = k.p.ask(ctx, atKafka, "stable of "+string(topic), func() (err error) {
		all, err = k.direct().Stable(ctx, topic)
		if err == nil {
			k.p.w.model.looked(k.p, k.c, topic)
		}
		return err
	})
	return all, err
}

// Committed implements consumers.Brokers.
func (k conn) Committed(ctx context.Context, name string, topic schemas.Topic) (all map[int32]consumers.Mark, err error) {
	err = k.p.ask(ctx, atKafka, "committed of "+name+" "+string(topic), func() (err error) { all, err = k.direct().Committed(ctx, name, topic); return err })
	return all, err
}

// Commit implements consumers.Brokers.
func (k conn) Commit(ctx context.Context, name string, topic schemas.Topic, marks map[int32]consumers.Mark) error {
	return k.p.change(ctx, atKafka, "commit for "+name+" "+string(topic), func() error { return k.direct().Commit(ctx, name, topic, marks) })
}

// EpochEnds implements consumers.Brokers.
func (k conn) EpochEnds(ctx context.Context, topic schemas.Topic, epochs map[int32]int32) (all map[int32]int64, err error) {
	if len(epochs) == 0 {
		return map[int32]int64{}, nil
	}
	err = k.p.ask(ctx, atKafka, "epochs of "+string(topic), func() (err error) { all, err = k.direct().EpochEnds(ctx, topic, epochs); return err })
	return all, err
}

// Follow implements consumers.Cluster.
func (k conn) Follow(topic schemas.Topic, partition int32, from int64) (consumers.Follower, error) {
	return &follower{k: k, topic: topic, cursor: cursor{partition: partition, offset: from, epoch: -1, leader: -1}}, nil
}

// follower reads one partition.
type follower struct {
	k      conn
	topic  schemas.Topic
	cursor cursor
}

// Poll implements consumers.Follower.
func (f *follower) Poll(ctx context.Context) (fetches kgo.Fetches) {
	name := fmt.Sprintf("follow %s %d", f.topic, f.cursor.partition)
	err := f.k.p.wait(ctx, &call{service: atKafka, name: name,
		ready: func() bool { return f.k.c.off || f.cursor.hasNews(f.k.c, f.topic, false) },
		effect: func() error {
			if f.k.c.off {
				return errNoAnswer
			}
			f.cursor.log(f.k.c, f.topic)
			fetches = fetchesOf(f.topic, f.cursor.life, f.cursor.fetch(f.k.c, f.topic, maxFetch, false))
			return nil
		}})
	if err != nil {
		return kgo.NewErrFetch(err)
	}
	return fetches
}

// Seek implements consumers.Follower.
func (f *follower) Seek(to kgo.EpochOffset) { f.cursor.seek(to) }

// Close implements consumers.Follower.
func (f *follower) Close() {}

// fetchesOf are fetches of a life of a topic; 0: it is not known which.
func fetchesOf(topic schemas.Topic, life int, partitions ...kgo.FetchPartition) kgo.Fetches {
	of := kgo.FetchTopic{Topic: string(topic), Partitions: partitions}
	if life > 0 {
		of.TopicID = (&topicLog{life: life - 1}).uuid()
	}
	return kgo.Fetches{{Topics: []kgo.FetchTopic{of}}}
}

// produce publishes to a topic, as a client does that knows it by its name.
func (k conn) produce(ctx context.Context, topic schemas.Topic, what string, records ...*entry) error {
	return k.p.change(ctx, atKafka, "produce "+what, func() error {
		t, err := k.c.find(topic)
		if err != nil {
			return err
		}
		for _, r := range records {
			p := t.partitions[murmur(r.key, len(t.partitions))]
			p.append(r, k.p.w.now())
			k.p.w.model.reported(r.event)
		}
		return nil
	})
}

// Publish is the publisher of roles.
func (k conn) Publish(ctx context.Context, events ...schemas.Event) error {
	for _, e := range events {
		value, err := schemas.Encode(e)
		if err != nil {
			return err
		}
		err = k.produce(ctx, e.Topic(), e.Type()+" "+e.ID(), &entry{key: []byte(e.Key()), value: value, event: e})
		if err != nil {
			return err
		}
	}
	return nil
}

// Put keeps the bytes of dead letters, as the publisher does.
func (k conn) Put(ctx context.Context, letters []schemas.DeadLetter) error {
	for _, l := range letters {
		what := fmt.Sprintf("letter of %s %d/%d", l.Topic, l.Partition, l.Offset)
		if err := k.produce(ctx, l.Topic.DeadLetter(), what, &entry{key: l.Key, value: l.Value}); err != nil {
			return err
		}
	}
	return nil
}

// sortedKeys of a map, for effects that must not depend on its order.
func sortedKeys[V any](m map[int32]V) []int32 { return slices.Sorted(maps.Keys(m)) }
