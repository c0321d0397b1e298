package simulate

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// maxFetch is how many entries a fetch brings at most.
const maxFetch = 4

// cursor is where a client of franz-go reads a partition, and what it believes of the log.
// It does what that does (source.go and consumer.go there), with the options of
// consumers.NewCluster.
type cursor struct {
	partition int32
	// life is the topic it reads, by id; 0: the first one it sees. It never learns that
	// another has the name.
	life   int
	offset int64
	// epoch is the leader epoch of the record before offset, leader the one it fetches
	// from; -1: not known.
	epoch, leader int32
	// consumed says that it has read something. stuck cursors are not fetched until a seek.
	consumed, stuck bool
}

func (c *cursor) seek(to kgo.EpochOffset) {
	c.offset, c.epoch, c.stuck = to.Offset, to.Epoch, false
}

// log is the log it reads; nil if none exists any more.
func (c *cursor) log(k *cluster, topic schemas.Topic) *partitionLog {
	t, err := k.find(topic)
	if err != nil || int(c.partition) >= len(t.partitions) {
		return nil
	}
	if !k.nameless {
		if c.life == 0 {
			c.life = t.life + 1
		}
		if c.life != t.life+1 {
			return nil
		}
	}
	return t.partitions[c.partition]
}

// hasNews reports whether a fetch would bring or change anything. resets says that an
// offset which is not in the log is one of them.
func (c *cursor) hasNews(k *cluster, topic schemas.Topic, resets bool) bool {
	log := c.log(k, topic)
	if log == nil || c.stuck {
		return false
	}
	inLog := c.offset >= log.start && c.offset <= log.end()
	return c.offset < log.stable() && inLog || !inLog && (resets || !c.stuck) || c.leader != log.epoch && c.epoch >= 0
}

// fetch reads on, at most limit entries. A member begins at the start of the log where its
// offset is gone; a follower fails.
func (c *cursor) fetch(k *cluster, topic schemas.Topic, limit int, resets bool) kgo.FetchPartition {
	f := kgo.FetchPartition{Partition: c.partition}
	log := c.log(k, topic)
	if log == nil || c.stuck {
		return f
	}
	f.HighWatermark, f.LastStableOffset, f.LogStartOffset = log.end(), log.stable(), log.start
	if c.offset < 0 {
		c.offset = log.start
	}
	if c.leader != log.epoch {
		c.leader = log.epoch
		if f.Err = c.validate(log, topic, resets); f.Err != nil {
			return f
		}
	}
	switch {
	case c.offset >= log.start && c.offset <= log.end():
	case !resets:
		c.stuck = true
		f.Err = kerr.OffsetOutOfRange
		return f
	case !c.consumed || c.offset < log.start:
		c.offset, c.epoch = log.start, -1
	default:
		f.Err = c.reset(log, topic)
		return f
	}
	for ; limit > 0 && c.offset < log.stable(); limit-- {
		e := log.at(c.offset)
		if e.huge != [2]int64{} {
			if len(f.Records) == 0 {
				c.stuck, e.read = true, true
				f.Err = &kgo.ErrDecompressTooLarge{Topic: string(topic), Partition: c.partition, Offset: e.huge[0], Epoch: e.epoch, NextOffset: e.huge[1]}
			}
			break
		}
		c.offset, c.epoch, c.consumed, e.read = c.offset+1, e.epoch, true, true
		if e.visible() || e.control {
			f.Records = append(f.Records, e.record(topic))
		} else {
			limit++ // what was aborted is read over
		}
	}
	return f
}

// validate asks the new leader whether its log goes on from what was read (KIP-320).
func (c *cursor) validate(log *partitionLog, topic schemas.Topic, resets bool) error {
	if c.epoch < 0 {
		return nil
	}
	end, epoch := log.epochEnd(c.epoch)
	switch {
	case end < 0 && c.consumed && resets:
		return c.reset(log, topic)
	case end < 0 || end >= c.offset:
		return nil
	}
	lost := &kgo.ErrDataLoss{Topic: string(topic), Partition: c.partition, ConsumedTo: c.offset, ConsumedToEpoch: c.epoch, ResetTo: end, ResetToEpoch: epoch}
	c.offset, c.epoch = end, epoch
	return lost
}

// reset begins at the start of a log that lost what was read of it.
func (c *cursor) reset(log *partitionLog, topic schemas.Topic) error {
	lost := &kgo.ErrDataLoss{Topic: string(topic), Partition: c.partition, ConsumedTo: c.offset, ConsumedToEpoch: c.epoch, ResetTo: log.start, ResetToEpoch: -1}
	c.offset, c.epoch = log.start, -1
	return lost
}

// record is the entry as a client hands it over.
func (e *entry) record(topic schemas.Topic) *kgo.Record {
	return &kgo.Record{
		Topic: string(topic), Partition: e.log.n, Offset: e.offset, LeaderEpoch: e.epoch, Timestamp: e.time, Key: e.key, Value: e.value,
		Attrs: kgo.NewRecordAttrs(kgo.RecordAttrsOpts{TimestampType: 1, Transactional: e.txn != nil, Control: e.control}),
	}
}
