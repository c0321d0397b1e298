package consumers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/schemas"
)

// decisions keep incarnations in memory.
type decisions struct {
	mu sync.Mutex
	l  map[schemas.Topic]schemas.Lineage
}

func (d *decisions) Lineage(_ context.Context, topic schemas.Topic, _ schemas.Lineage) (schemas.Lineage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.l[topic]), nil
}

func (d *decisions) Decide(_ context.Context, topic schemas.Topic, known schemas.Lineage, next schemas.Incarnation) (schemas.Lineage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.l[topic]) == len(known) {
		d.l[topic] = append(d.l[topic], next)
	}
	return slices.Clone(d.l[topic]), d.l[topic].Check()
}

// settler is a Settler on a cluster whose topic the tests' group reads.
func settler(t *testing.T, c *kfake.Cluster, d *decisions, s *table) *Settler {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	settler := NewSettler(SettlerOptions{Brokers: Kafka(client), Decisions: d, Stored: s.reached, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	settler.confirm = 50 * time.Millisecond
	return settler
}

// reached is what ClickHouse would say: the first position past all that is stored.
func (s *table) reached(context.Context, schemas.Topic) (map[int32]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	past := map[int32]int64{}
	for at := range s.rows {
		past[at.partition] = max(past[at.partition], at.offset+1)
	}
	return past, nil
}

func replaceTopic(t *testing.T, c *kfake.Cluster, partitions int32) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(t.Context(), string(topic)); err != nil {
		t.Fatal(err)
	}
	createTopic(t, c, partitions)
}

func settled(s *Settler) func(*Options[*schemas.Interaction]) {
	return func(o *Options[*schemas.Interaction]) {
		o.Positions, o.GroupID, o.settleEvery = s, schemas.IngestGroup(topic), 100*time.Millisecond
	}
}

const second = int64(1) << 40 // where the positions of incarnation 1 begin

func TestATopicThatIsMadeAgainIsReadUnderNewPositionsWithoutARestart(t *testing.T) {
	c, s, d := newCluster(t, 2), newTable(), &decisions{l: map[schemas.Topic]schemas.Lineage{}}
	newProducer(t, c).send(t, 0, events("old", 8)...)
	m := join(t, c, s, settled(settler(t, c, d, s)))
	s.awaitStored(t, 8)

	replaceTopic(t, c, 2)
	p := newProducer(t, c)
	p.send(t, 0, events("new", 3)...) // at offsets that were used
	p.send(t, 1, "no event")
	s.awaitStored(t, 12)
	m.leave()

	want := map[position]string{}
	for n := range int64(8) {
		want[position{0, n}] = fmt.Sprintf("old-%d", n)
	}
	for n := range int64(3) {
		want[position{0, second + n}] = fmt.Sprintf("new-%d", n)
	}
	if !maps.Equal(s.rows, want) {
		t.Errorf("stored are %v, want %v", s.rows, want)
	}
	if _, there := s.letters[position{1, second}]; !there || len(s.letters) != 1 {
		t.Errorf("the dead letters are %v", s.letters)
	}
	if l := d.l[topic]; len(l) != 2 || l[1].Cause != schemas.IncarnationReplaced || l[1].Ends[0] != 8 {
		t.Errorf("decided is %+v", l)
	}

	// What the group had committed of the topic that is gone counts for nothing: a member
	// that starts now goes on behind what was read of this one.
	p.send(t, 0, events("later", 6)...)
	join(t, c, s, settled(settler(t, c, d, s)))
	s.awaitStored(t, 18)
	if s.rows[position{0, second + 8}] != "later-5" {
		t.Errorf("stored are %v", s.rows)
	}
}

func TestABatchThatUnpacksToAbsurdSizeIsDeadLetteredByItsPositions(t *testing.T) {
	c, s := newCluster(t, 2), newTable()
	send, absurd := sender(t, c), strings.Repeat("a", 12<<20)
	send(event("before"))
	send(absurd, absurd, absurd) // one batch of 36 MiB, a few kilobytes as it travels
	send(absurd)                 // small enough to be read, and dead-lettered whole
	send(event("after"))
	m := join(t, c, s)
	s.await(t, "what comes after is stored", func() bool { return len(s.rows) == 2 && len(s.letters) == 2 })
	awaitCommitted(t, c, 0, 6)
	m.leave()
	letter := s.letters[position{0, 1}]
	if letter.Next != 4 || letter.Value != nil || letter.Code != schemas.CodeTooLarge || !strings.Contains(letter.Reason, "3 records from offset 1") {
		t.Errorf("the batch's letter is of positions %d to %d, with %d bytes: %s %s", letter.Offset, letter.Next, len(letter.Value), letter.Code, letter.Reason)
	}
	if letter := s.letters[position{0, 4}]; len(letter.Value) != len(absurd) {
		t.Errorf("the record's letter has %d bytes", len(letter.Value))
	}
	if s.rows[position{0, 0}] != "before" || s.rows[position{0, 5}] != "after" {
		t.Errorf("stored are %v", s.rows)
	}
}

// sender sends values to partition 0, each time as one batch however large.
func sender(t *testing.T, c *kfake.Cluster) func(values ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(string(topic)), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(200<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return func(values ...string) {
		t.Helper()
		var records []*kgo.Record
		for _, v := range values {
			records = append(records, &kgo.Record{Value: []byte(v)})
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasTrimmedBeforeABatchThatIsNotUnpackedIsMissing(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	send, absurd := sender(t, c), strings.Repeat("a", 12<<20)
	send(event("before"))
	first := join(t, c, s)
	awaitCommitted(t, c, 0, 1)
	first.leave()

	send(event("trimmed"), event("as well"))
	send(absurd, absurd, absurd)
	send(event("after"))
	if err := c.DeleteRecords(string(topic), 0, 3); err != nil {
		t.Fatal(err)
	}
	m := join(t, c, s)
	awaitCommitted(t, c, 0, 7)
	m.leave()
	if len(s.voids) != 0 || len(s.rows) != 2 || len(s.letters) != 1 {
		t.Errorf("voids are %v: records that retention removed unread are lost; there are %d rows and %d letters", s.voids, len(s.rows), len(s.letters))
	}
}

func TestABatchThatIsNotUnpackedStandsForWhatTheLogHasOfIt(t *testing.T) {
	// The log begins in the middle of the batch from 3 to 9, in another incarnation than before.
	l := schemas.Lineage{
		{Topic: topic, TopicID: "a", Cause: schemas.IncarnationFirst},
		{Topic: topic, Number: 1, TopicID: "b", Cause: schemas.IncarnationReplaced, Begins: map[int32]int64{0: 5}},
	}
	in := &intake[*schemas.Interaction]{topic: topic, lineage: l, decode: schemas.DecodeInteraction, expected: 5}
	_, letters, voids := in.take([]fetched{notUnpacked(&kgo.ErrDecompressTooLarge{Topic: string(topic), Offset: 3, NextOffset: 9})}, 0)
	if len(letters) != 1 || letters[0].Run() != (schemas.Run{First: second + 5, Next: second + 9}) || len(voids) > 0 {
		t.Errorf("letters are of %+v, voids %v", letters, voids)
	}
}

// twoSettlers is Positions that another process moves on: the topic is in the first
// incarnation, and from the second look on in the next one.
type twoSettlers struct {
	mu    sync.Mutex
	looks int
	l     schemas.Lineage
}

func (s *twoSettlers) Settle(context.Context, schemas.Topic) (schemas.Lineage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.l[:min(s.looks, len(s.l))], nil
}

func (*twoSettlers) Lost(schemas.Topic, schemas.Lineage, int32, schemas.Reached) {}

func TestAMemberThatIsLeftTheGroupOfAnEarlierIncarnationStoresNothingInIt(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	newProducer(t, c).send(t, 0, events("e", 3)...)
	positions := &twoSettlers{l: schemas.Lineage{
		{Topic: topic, Cause: schemas.IncarnationFirst},
		{Topic: topic, Number: 1, Cause: schemas.IncarnationTruncated, Begins: map[int32]int64{0: 0}},
	}}
	join(t, c, s, func(o *Options[*schemas.Interaction]) { o.Positions, o.settleEvery = positions, time.Hour })
	s.awaitStored(t, 3)
	for at := range s.rows {
		if at.offset < second {
			t.Errorf("a record is stored at %d, under the incarnation before", at.offset)
		}
	}
}

func TestPositionsAreCommittedAgainInCaseKafkaLosesThem(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	newProducer(t, c).send(t, 0, events("e", 3)...)
	commits := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1})
	first := join(t, c, s, func(o *Options[*schemas.Interaction]) { o.recommitEvery = 10 * time.Millisecond })
	awaitCommitted(t, c, 0, 3)
	if err := commits.Wait(t.Context(), commits.Hits()+3); err != nil {
		t.Fatal(err)
	}
	first.leave()
	// A member that has nothing to do, too.
	join(t, c, s, func(o *Options[*schemas.Interaction]) { o.recommitEvery = 10 * time.Millisecond })
	if err := commits.Wait(t.Context(), commits.Hits()+3); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAHandlerLostIsReadAgainWhereItWas(t *testing.T) {
	c, s := newCluster(t, 2), newTable()
	p := newProducer(t, c)
	p.send(t, 0, events("e", 40)...)
	p.send(t, 0, "no event")
	p.send(t, 1, events("f", 5)...)
	m := join(t, c, s)
	s.awaitStored(t, 46)
	awaitCommitted(t, c, 0, 41)

	s.update(func() {
		for _, n := range []int64{3, 4, 39} {
			delete(s.rows, position{0, n})
		}
		delete(s.letters, position{0, 40})
		delete(s.rows, position{1, 2})
	})
	handled, err := m.Reread(t.Context(), runs(0, 39, 41, 0, 3, 5, 1, 2, 3, 7, 0, 9))
	if err != nil || handled != 39 {
		t.Errorf("%d records were read again, want 38 from 3 to 40 of one partition and 1 of another, %v", handled, err)
	}
	s.checkLaw(t, p.produced)
	p.send(t, 0, event("late")) // goes on meanwhile
	awaitCommitted(t, c, 0, 42)
}

// runs are partition, first and next of each.
func runs(numbers ...int64) (all []schemas.Run) {
	for n := range slices.Chunk(numbers, 3) {
		all = append(all, schemas.Run{Partition: int32(n[0]), First: n[1], Next: n[2]})
	}
	return all
}
