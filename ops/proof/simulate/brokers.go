package simulate

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/schemas"
)

// find is the topic that has a name now.
func (c *cluster) find(topic schemas.Topic) (*topicLog, error) {
	if c.off {
		return nil, errNoAnswer
	}
	t := c.topics[string(topic)]
	if t == nil {
		return nil, fmt.Errorf("topic %s: %w", topic, kerr.UnknownTopicOrPartition)
	}
	return t, nil
}

// direct is a cluster without the gate: it is a consumers.Brokers.
type direct struct{ c *cluster }

func (d direct) marks(topic schemas.Topic, of func(*partitionLog) int64) (all []consumers.Mark, err error) {
	t, err := d.c.find(topic)
	if err != nil {
		return nil, err
	}
	for _, p := range t.partitions {
		all = append(all, consumers.Mark{Offset: of(p), Epoch: p.epoch})
	}
	return all, nil
}

func (d direct) TopicID(_ context.Context, topic schemas.Topic) (string, error) {
	t, err := d.c.find(topic)
	if err != nil || d.c.nameless {
		return "", err
	}
	if before, is := d.c.stale[string(topic)]; is && d.c.w.now().Before(before.until) {
		t = before.topicLog
	}
	return t.id(), nil
}

func (d direct) Starts(_ context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	marks, err := d.marks(topic, func(p *partitionLog) int64 { return p.start })
	return consumers.Offsets(marks), err
}

func (d direct) Ends(_ context.Context, topic schemas.Topic) ([]consumers.Mark, error) {
	return d.marks(topic, (*partitionLog).end)
}

func (d direct) Stable(_ context.Context, topic schemas.Topic) ([]consumers.Mark, error) {
	return d.marks(topic, (*partitionLog).stable)
}

func (d direct) Committed(_ context.Context, name string, topic schemas.Topic) (map[int32]consumers.Mark, error) {
	if d.c.off {
		return nil, errNoAnswer
	}
	return d.c.group(name).committed(string(topic)), nil
}

func (d direct) Commit(_ context.Context, name string, topic schemas.Topic, marks map[int32]consumers.Mark) error {
	if _, err := d.c.find(topic); err != nil {
		return err
	}
	all := map[int32]kgo.EpochOffset{}
	for p, at := range marks {
		all[p] = kgo.EpochOffset{Epoch: at.Epoch, Offset: at.Offset}
	}
	d.c.group(name).commit(string(topic), all)
	return nil
}

func (d direct) EpochEnds(_ context.Context, topic schemas.Topic, epochs map[int32]int32) (map[int32]int64, error) {
	all := map[int32]int64{}
	t, err := d.c.find(topic)
	if err != nil {
		return all, err
	}
	for p, epoch := range epochs {
		if int(p) < len(t.partitions) {
			if end, _ := t.partitions[p].epochEnd(epoch); end >= 0 {
				all[p] = end
			}
		}
	}
	return all, nil
}
