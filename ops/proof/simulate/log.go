package simulate

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/schemas"
)

// topicLog is one life of a topic: made again, it is another one.
type topicLog struct {
	name string
	// life counts the lives of all topics of this name, on whatever cluster.
	life       int
	partitions []*partitionLog
}

// uuid is the topic's id (KIP-516), id what that is as a text.
func (t *topicLog) uuid() (id [16]byte) {
	id[15] = byte(t.life + 1)
	return id
}

// of is the topic that it is a life of.
func (t *topicLog) of() schemas.Topic { return schemas.Topic(t.name) }

func (t *topicLog) id() string { return kadm.TopicID(t.uuid()).String() }

// partitionLog is the records of one partition and what brokers know of them.
type partitionLog struct {
	topic *topicLog
	n     int32
	// start is the first offset there is; base that of entries[0].
	start, base int64
	entries     []*entry
	// epoch is the leader's; epochs are those that brokers remember, by where they began.
	epoch  int32
	epochs []epochStart
	// skew is how far the leader's clock is ahead.
	skew time.Duration
}

type epochStart struct {
	epoch  int32
	offset int64
}

// entry is a place in a log and what is there: a record, the mark of a transaction, or a
// record of a batch that nobody can unpack.
type entry struct {
	log    *partitionLog
	offset int64
	epoch  int32
	time   time.Time
	key    []byte
	value  []byte
	// txn is the transaction it belongs to; nil: none.
	txn *transaction
	// control entries are marks of its end.
	control bool
	// huge is the batch it belongs to if that unpacks to absurd size: its first offset and
	// the one past it.
	huge [2]int64

	// event is what a process published.
	event schemas.Event

	// What the model knows of it, see model.go.
	content *content
	// born is the step at which it was acknowledged.
	born int
	lost *loss
	// read says that a process was given it.
	read bool
}

// transaction spans partitions of a topic.
type transaction struct {
	state      txnState
	began      time.Time
	ended      int // the step at which it did
	partitions []*partitionLog
}

type txnState int

const (
	txnOpen txnState = iota
	txnCommitted
	txnAborted
)

func newTopicLog(name string, life int, partitions int) *topicLog {
	t := &topicLog{name: name, life: life}
	t.grow(partitions)
	return t
}

// grow raises the number of partitions.
func (t *topicLog) grow(partitions int) {
	for len(t.partitions) < partitions {
		p := &partitionLog{topic: t, n: int32(len(t.partitions))}
		p.epochs = []epochStart{{0, 0}}
		t.partitions = append(t.partitions, p)
	}
}

// end is the high watermark. There is one replica that counts, so it is the log's end.
func (p *partitionLog) end() int64 { return p.base + int64(len(p.entries)) }

// stable is the last stable offset (KIP-98).
func (p *partitionLog) stable() int64 {
	for _, e := range p.entries {
		if e.offset >= p.start && e.txn != nil && e.txn.state == txnOpen {
			return e.offset
		}
	}
	return p.end()
}

// at is the entry at an offset within the log.
func (p *partitionLog) at(offset int64) *entry { return p.entries[offset-p.base] }

// present are the entries there are, in order.
func (p *partitionLog) present() []*entry { return p.entries[p.start-p.base:] }

// topic is the topic that the entry is, or was, in.
func (e *entry) topic() schemas.Topic { return e.log.topic.of() }

// visible reports whether readers of committed records are given the entry.
func (e *entry) visible() bool {
	return !e.control && (e.txn == nil || e.txn.state == txnCommitted)
}

// append adds an entry at the end.
func (p *partitionLog) append(e *entry, now time.Time) *entry {
	e.log, e.offset, e.epoch, e.time = p, p.end(), p.epoch, now.Add(p.skew)
	p.entries = append(p.entries, e)
	return e
}

// elect makes another broker the leader.
func (p *partitionLog) elect() {
	p.epoch++
	if n := len(p.epochs) - 1; p.epochs[n].offset == p.end() {
		p.epochs[n].epoch = p.epoch
		return
	}
	p.epochs = append(p.epochs, epochStart{p.epoch, p.end()})
}

// truncate elects a leader that has less, and returns what is lost.
func (p *partitionLog) truncate(to int64) []*entry {
	to = max(to, p.start)
	lost := slices.Clone(p.entries[to-p.base:])
	p.entries = slices.Clone(p.entries[:to-p.base])
	p.epochs = slices.DeleteFunc(p.epochs, func(e epochStart) bool { return e.offset > to })
	p.elect()
	return lost
}

// trim is retention: it removes what is before an offset, and returns what is lost.
func (p *partitionLog) trim(to int64) []*entry {
	to = min(max(to, p.start), p.end())
	lost := slices.Clone(p.entries[p.start-p.base : to-p.base])
	p.start = to
	return lost
}

// epochEnd is the end of a leader epoch as brokers know it (KIP-320), and the epoch that is
// meant; -1 if they know none.
func (p *partitionLog) epochEnd(epoch int32) (offset int64, of int32) {
	for i, e := range slices.Backward(p.epochs) {
		switch {
		case e.epoch > epoch:
		case i < len(p.epochs)-1:
			return p.epochs[i+1].offset, e.epoch
		case e.epoch == epoch:
			return p.end(), epoch
		default: // later than any that is known
			return -1, -1
		}
	}
	return p.epochs[0].offset, epoch
}

// end ends a transaction in all its partitions, and returns the marks they get.
func (t *transaction) end(state txnState, step int, now time.Time) (marks []*entry) {
	t.state, t.ended = state, step
	for _, p := range t.partitions {
		marks = append(marks, p.append(&entry{txn: t, control: true}, now))
	}
	return marks
}
