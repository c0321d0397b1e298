package schemas

import (
	"fmt"
	"slices"
)

// A position names one record of a topic's partition for ever, also after the topic was
// deleted and made again, its log lost its tail, or everything moved to another Kafka. It
// is what rows carry as source_offset and what snapshots are made of. Kafka's own offsets
// begin anew in each of these cases; a position is the offset plus the base of the
// incarnation it belongs to:
//
//	position = incarnation << 40 | offset
//
// Incarnation 0 has the base 0, so as long as nothing happened to a topic, positions are
// Kafka's offsets. Bases that far apart need no knowledge of what was used before, which
// may be lost with whatever was lost: 2^40 records of a partition are 30 years of a
// thousand a second.
const positionBits = 40

// MaxOffset is the highest Kafka offset that has a position.
const MaxOffset = 1<<positionBits - 1

// Causes of an incarnation.
const (
	// IncarnationFirst is the topic as CDDS found it first.
	IncarnationFirst = "first"
	// IncarnationReplaced has another topic id (KIP-516): the topic was deleted and made
	// again, or this is another cluster.
	IncarnationReplaced = "replaced"
	// IncarnationTruncated has a log that ends before what was read of it.
	IncarnationTruncated = "truncated"
)

// Incarnation is a topic together with a log that has not lost its tail. It is decided
// once and never changes.
type Incarnation struct {
	Topic Topic `json:"topic"`
	// Number counts from 0.
	Number int `json:"number"`
	// TopicID is the topic's id (KIP-516) as a UUID; empty where the brokers know none.
	TopicID string `json:"topic_id,omitempty"`
	// Cause is one of the Incarnation constants.
	Cause string `json:"cause"`
	// Begins is, per partition, the first Kafka offset that belongs to this incarnation. Of a
	// truncated topic partitions that are not listed go on in the incarnation before;
	// otherwise they begin at 0.
	Begins map[int32]int64 `json:"begins,omitempty"`
	// Ends is, per partition that begins anew, the first position that was not used before,
	// as far as anybody knew when this was decided.
	Ends map[int32]int64 `json:"ends,omitempty"`
	// Epochs are the leader epochs of partitions that begin anew when this was decided: a log
	// that loses its tail below Begins later on tells by them.
	Epochs    map[int32]int32 `json:"epochs,omitempty"`
	DecidedAt Time            `json:"decided_at"`
	// DecidedBy is the process that decided it.
	DecidedBy string `json:"decided_by,omitempty"`
}

// whole reports whether the incarnation has all partitions of the topic.
func (i Incarnation) whole() bool { return i.Cause != IncarnationTruncated }

// begin is the first Kafka offset of a partition that belongs to the incarnation; false if
// the partition goes on in the one before.
func (i Incarnation) begin(partition int32) (int64, bool) {
	at, listed := i.Begins[partition]
	return at, listed || i.whole()
}

// base is the position of offset 0.
func (i Incarnation) base() int64 { return int64(i.Number) << positionBits }

// Lineage is the incarnations of a topic, by number, without a gap. The zero value knows
// nothing of the topic: its positions are Kafka's offsets.
type Lineage []Incarnation

// Check reports whether the incarnations follow each other.
func (l Lineage) Check() error {
	for n, i := range l {
		switch {
		case i.Number != n:
			return fmt.Errorf("incarnation %d of topic %s stands where %d is expected", i.Number, i.Topic, n)
		case n == 0 && i.Cause != IncarnationFirst, n > 0 && i.Cause == IncarnationFirst:
			return fmt.Errorf("incarnation %d of topic %s cannot be %q", n, i.Topic, i.Cause)
		case i.Topic != l[0].Topic:
			return fmt.Errorf("incarnation %d is of topic %s, not %s", n, i.Topic, l[0].Topic)
		}
		for p, at := range i.Begins {
			if p < 0 || at < 0 || at > MaxOffset {
				return fmt.Errorf("incarnation %d of topic %s cannot begin at offset %d of partition %d", n, i.Topic, at, p)
			}
		}
	}
	return nil
}

// Position is the position of an offset of the topic as it is now. An offset before the log
// of a topic that was made again begins is one of that log, which never had it.
func (l Lineage) Position(partition int32, offset int64) int64 {
	for _, i := range slices.Backward(l) {
		if begin, has := i.begin(partition); has && offset >= begin || i.whole() {
			return i.base() + offset
		}
	}
	return offset
}

// Offset is the offset at which the topic as it is now has a position; false if that
// position belongs to a log that is gone.
func (l Lineage) Offset(partition int32, position int64) (int64, bool) {
	offset := position & MaxOffset
	return offset, l.Position(partition, offset) == position
}

// Positions are those of a vector of offsets of the topic as it is now. A topic that was
// made again may have fewer partitions than before; what was in the others stays: of them
// all that was used lies before the position of offset 0.
func (l Lineage) Positions(offsets Snapshot) Snapshot {
	all := make(Snapshot, max(len(offsets), l.partitions()))
	copy(all, offsets)
	for p, offset := range all {
		all[p] = l.Position(int32(p), offset)
	}
	return all
}

// Parted returns the Kafka offset of a position, and whether the log of the same topic lost its
// tail below it since it was that offset's position: a log may lose its tail before anybody
// knows, so the position may have been given to a record of the present log.
func (l Lineage) Parted(partition int32, position int64) (offset int64, parted bool) {
	offset = position & MaxOffset
	for n := position>>positionBits + 1; n < int64(len(l)); n++ {
		if l[n].whole() {
			return offset, false
		}
		if begin, has := l[n].begin(partition); has && begin < offset {
			parted = true
		}
	}
	return offset, parted
}

// partitions is how many the topic had at most, as far as they were used.
func (l Lineage) partitions() (n int) {
	for _, i := range l {
		for p := range i.Ends {
			n = max(n, int(p)+1)
		}
	}
	return n
}

// Runs are the positions of the offsets from first to next, exclusive, of the topic as it
// is now.
func (l Lineage) Runs(partition int32, first, next int64) []Run {
	var all []Run
	for first < next {
		at := l.Position(partition, first)
		end := next
		for _, i := range l { // where a later incarnation begins, the run ends
			if begin, has := i.begin(partition); has && begin > first {
				end = min(end, begin)
			}
		}
		all = append(all, Run{partition, at, at + end - first})
		first = end
	}
	return all
}

// Run is a run of positions [First, Next) of a partition.
type Run struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Next      int64 `json:"next"`
}

// Present returns the positions of a partition below to that its log still has, which begins at
// offset start: also what it kept if it lost its tail below to since.
func (l Lineage) Present(partition int32, start, to int64) (present []Run) {
	for _, r := range l.Runs(partition, start, MaxOffset) {
		present = clipped(present, Run{partition, r.First, min(r.Next, to)})
	}
	return present
}

// Gone returns what of a run a log does not have any more that begins at offset start.
func (l Lineage) Gone(r Run, start int64) []Run {
	var gone []Run
	at := r.First
	for _, has := range l.Runs(r.Partition, start, MaxOffset) {
		gone = clipped(gone, Run{r.Partition, at, min(has.First, r.Next)})
		at = max(at, has.Next)
	}
	return clipped(gone, Run{r.Partition, at, r.Next})
}

// Used returns the positions of a partition below to that its logs have used, by position.
// Between them lie positions that no record ever had.
func (l Lineage) Used(partition int32, to int64) []Run {
	if len(l) == 0 {
		return clipped(nil, Run{partition, 0, to})
	}
	var all []Run
	for n, i := range l {
		begin, has := i.begin(partition)
		if !has {
			continue
		}
		next := to
		if later, found := l.after(n, partition); found && to > i.base()+MaxOffset {
			next = later.Ends[partition]
		}
		all = clipped(all, Run{partition, i.base() + begin, next})
	}
	return all
}

// after is the first incarnation past n that has the partition.
func (l Lineage) after(n int, partition int32) (Incarnation, bool) {
	for _, i := range l[n+1:] {
		if _, has := i.begin(partition); has {
			return i, true
		}
	}
	return Incarnation{}, false
}

func clipped(all []Run, r Run) []Run {
	if r.First >= r.Next {
		return all
	}
	return append(all, r)
}

// Begin is where the log of a partition begins to belong to the present incarnation, and the
// leader epoch it had then; -1 if none is known.
func (l Lineage) Begin(partition int32) (offset int64, epoch int32) {
	for _, i := range slices.Backward(l) {
		if begin, has := i.begin(partition); has {
			epoch, known := i.Epochs[partition]
			if !known {
				epoch = -1
			}
			return begin, epoch
		}
	}
	return 0, -1
}

// Before is the lineage by which the log of a partition was read before it lost its tail: the log
// still has what lies below Begin, and whoever read it may not have handled all of that. It is nil
// if the log did not lose its tail last, but its topic was made again.
func (l Lineage) Before(partition int32) Lineage {
	for n, i := range slices.Backward(l) {
		if _, has := i.begin(partition); has && !i.whole() {
			return l[:n]
		} else if has {
			return nil
		}
	}
	return nil
}

// Group is the consumer group of the present incarnation. Each has one of its own, so that
// offsets committed of a log that is gone are never taken for offsets of this one.
func (l Lineage) Group(base string) string { return l.groupOf(base, max(len(l)-1, 0)) }

func (l Lineage) groupOf(base string, n int) string {
	if n > 0 {
		return fmt.Sprintf("%s.%d", base, n)
	}
	return base
}

// Groups are the consumer groups whose commits count of some partition, the present
// incarnation's first: Origin says of which.
func (l Lineage) Groups(base string) (all []string) {
	for n, i := range slices.Backward(l) {
		all = append(all, l.groupOf(base, n))
		if i.whole() {
			break
		}
	}
	if len(all) == 0 {
		all = []string{base}
	}
	return all
}

// Origin says where reading a partition begins: at the offset that the first of Groups has
// committed which has committed any, or else at Offset.
type Origin struct {
	Groups []string
	Offset int64
}

// Origin is where reading a partition of the topic as it is now begins.
func (l Lineage) Origin(base string, partition int32) Origin {
	if len(l) == 0 {
		return Origin{Groups: []string{base}}
	}
	var o Origin
	for n, i := range slices.Backward(l) {
		o.Groups = append(o.Groups, l.groupOf(base, n))
		if begin, has := i.begin(partition); has {
			o.Offset = begin
			break
		}
	}
	return o
}

// Now is the present incarnation; false if none exists.
func (l Lineage) Now() (Incarnation, bool) {
	if len(l) == 0 {
		return Incarnation{}, false
	}
	return l[len(l)-1], true
}

// TopicID is the id of the topic as it was last seen; empty if none is known.
func (l Lineage) TopicID() string {
	now, _ := l.Now()
	return now.TopicID
}
