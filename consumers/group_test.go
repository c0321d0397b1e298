package consumers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestGroupHandlesEveryRecordInOrderAndCommits(t *testing.T) {
	c, s := newCluster(t, 3), newTable()
	p := newProducer(t, c)
	for i := range int32(3) {
		p.send(t, i, events(fmt.Sprint(i), 25)...)
	}
	m := join(t, c, s)
	s.awaitStored(t, 75)
	for i := range int32(3) {
		awaitCommitted(t, c, i, 25)
	}
	s.checkLaw(t, p.produced)

	next := make(map[int32]int64)
	for _, b := range s.batches {
		if b.First != next[b.Partition] || b.Next != b.First+int64(len(b.Records)) || len(b.Records) > 10 || b.Topic != topic {
			t.Errorf("batch %d:[%d,%d) of %d records comes after offset %d", b.Partition, b.First, b.Next, len(b.Records), next[b.Partition])
		}
		next[b.Partition] = b.Next
	}
	if err := m.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if n := m.metric(t, "cdds_consumer_records_total"); n != 75 {
		t.Errorf("records_total = %v, want 75", n)
	}
	if n := m.metric(t, "cdds_consumer_lag_records"); n != 0 {
		t.Errorf("lag = %v, want 0", n)
	}
	m.leave()
	if m.Ready() == nil {
		t.Error("a Group that has left says it is ready")
	}
}

// Every arrangement of good and bad records in batches of up to four.
func TestMalformedRecordsInEveryPositionAreDeadLettered(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	bad := []string{"{", `{"interaction_id":"x"}`, "\xff\xfe", "null"}
	for arrangement := range 16 {
		for i := range 4 {
			if arrangement>>i&1 == 1 {
				p.send(t, 0, bad[i])
			} else {
				p.send(t, 0, event(fmt.Sprintf("%d-%d", arrangement, i)))
			}
		}
	}
	m := join(t, c, s, func(o *Options[*schemas.Interaction]) { o.MaxRecords = 4 })
	s.awaitStored(t, 64)
	awaitCommitted(t, c, 0, 64)
	s.checkLaw(t, p.produced)
	if len(s.letters) != 32 {
		t.Errorf("%d dead letters, want 32", len(s.letters))
	}
	if n := m.metric(t, "cdds_consumer_dead_letters_total"); n != 32 {
		t.Errorf("dead_letters_total = %v, want 32", n)
	}
	for at, l := range s.letters {
		if l.Reason == "" || l.Code == "" || l.Topic != topic {
			t.Errorf("dead letter at %v has code %q, reason %q, topic %q", at, l.Code, l.Reason, l.Topic)
		}
	}
	for _, b := range s.batches {
		if len(b.Records) == 0 {
			t.Error("an empty batch was handled")
		}
	}
}

func TestRecordOverTheSizeLimitIsDeadLetteredWhole(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	large := strings.Repeat("x", 5<<20)
	p.send(t, 0, event("before"), large, event("after"))
	join(t, c, s)
	s.awaitStored(t, 3)
	awaitCommitted(t, c, 0, 3)
	s.checkLaw(t, p.produced)
	if l := s.letters[position{0, 1}]; l.Code != schemas.CodeTooLarge || len(l.Value) != len(large) {
		t.Errorf("code %q with %d bytes, want %q with all %d", l.Code, len(l.Value), schemas.CodeTooLarge, len(large))
	}
}

func TestBatchWaitsForLingerUnlessItIsFull(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	join(t, c, s, func(o *Options[*schemas.Interaction]) { o.MaxRecords, o.Linger = 3, time.Hour })
	for i := range 7 {
		p.send(t, 0, event(fmt.Sprint(i)))
	}
	s.awaitStored(t, 6)
	sizes := []int{}
	for _, b := range s.batches {
		sizes = append(sizes, len(b.Records))
	}
	if !slices.Equal(sizes, []int{3, 3}) {
		t.Errorf("batches of %v records, want two full ones and the seventh record waiting", sizes)
	}
}

func TestBatchGoesWhenItHasLingered(t *testing.T) {
	c, s := newCluster(t, 1), newTable()
	p := newProducer(t, c)
	join(t, c, s, func(o *Options[*schemas.Interaction]) { o.MaxRecords, o.Linger = 1000, 20*time.Millisecond })
	p.send(t, 0, event("alone"))
	s.awaitStored(t, 1)
}

func TestTwoGroupsShareOneRegisterer(t *testing.T) {
	reg := prometheus.NewRegistry()
	for _, id := range []string{"one", "two"} {
		if _, err := New(Options[*schemas.Interaction]{
			Cluster: kafka{}, GroupID: id, Topic: topic, Decode: schemas.DecodeInteraction,
			Handler: newTable(), DeadLetters: newTable(), Registerer: reg,
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewRefusesIncompleteOptions(t *testing.T) {
	whole := Options[*schemas.Interaction]{
		Cluster: kafka{}, GroupID: group, Topic: topic, Decode: schemas.DecodeInteraction, Handler: newTable(), DeadLetters: newTable(),
	}
	for name, spoil := range map[string]func(*Options[*schemas.Interaction]){
		"no group":        func(o *Options[*schemas.Interaction]) { o.GroupID = "" },
		"no topic":        func(o *Options[*schemas.Interaction]) { o.Topic = "" },
		"no handler":      func(o *Options[*schemas.Interaction]) { o.Handler = nil },
		"no dead letters": func(o *Options[*schemas.Interaction]) { o.DeadLetters = nil },
		"negative limit":  func(o *Options[*schemas.Interaction]) { o.MaxBytes = -1 },
		"no cluster":      func(o *Options[*schemas.Interaction]) { o.Cluster = nil },
	} {
		opts := whole
		spoil(&opts)
		if _, err := New(opts); err == nil {
			t.Errorf("%s: New accepts it", name)
		}
	}
	if _, err := New(whole); err != nil {
		t.Error(err)
	}
	if _, err := NewCluster([]kgo.Opt{kgo.SessionTimeout(-time.Second)}, nil); err == nil {
		t.Error("NewCluster accepts bad options")
	}
}
