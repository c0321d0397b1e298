package consumers

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// logs are Brokers with one topic, which the tests change as they please.
type logs struct {
	id     string
	starts schemas.Snapshot
	ends   []Mark
	groups map[string]map[int32]Mark
	// epochEnds are by partition and epoch.
	epochEnds map[int32]map[int32]int64
	// onEnds, if set, is called when somebody asks for ends, before the answer.
	onEnds func()
}

func (b *logs) TopicID(context.Context, schemas.Topic) (string, error)          { return b.id, nil }
func (b *logs) Starts(context.Context, schemas.Topic) (schemas.Snapshot, error) { return b.starts, nil }
func (b *logs) Stable(context.Context, schemas.Topic) ([]Mark, error)           { return b.ends, nil }

func (b *logs) Ends(context.Context, schemas.Topic) ([]Mark, error) {
	ends := append([]Mark{}, b.ends...)
	if b.onEnds != nil {
		b.onEnds()
	}
	return ends, nil
}

func (b *logs) Committed(_ context.Context, group string, _ schemas.Topic) (map[int32]Mark, error) {
	return maps.Clone(b.groups[group]), nil
}

func (b *logs) Commit(context.Context, string, schemas.Topic, map[int32]Mark) error { return nil }

func (b *logs) EpochEnds(_ context.Context, _ schemas.Topic, epochs map[int32]int32) (map[int32]int64, error) {
	all := map[int32]int64{}
	for p, epoch := range epochs {
		if end, known := b.epochEnds[p][epoch]; known {
			all[p] = end
		}
	}
	return all, nil
}

// settle decides about the logs as they are now, by a process that starts or, with a
// settler, by one that runs.
func (b *logs) settle(t *testing.T, d *decisions, stored map[int32]int64, running ...*Settler) schemas.Lineage {
	t.Helper()
	s := NewSettler(SettlerOptions{
		Brokers: b, Decisions: d, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Stored: func(context.Context, schemas.Topic) (map[int32]int64, error) { return stored, nil },
	})
	if len(running) > 0 {
		s = running[0]
	}
	l, err := s.Settle(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// decided is a topic of which two partitions of 10 records each were found first.
func decided(t *testing.T) (*logs, *decisions) {
	t.Helper()
	b := &logs{
		id: "a", starts: schemas.Snapshot{0, 0}, ends: []Mark{{10, 3}, {10, 3}},
		groups: map[string]map[int32]Mark{}, epochEnds: map[int32]map[int32]int64{},
	}
	d := &decisions{l: map[schemas.Topic]schemas.Lineage{}}
	b.settle(t, d, nil)
	return b, d
}

var ingestGroup = schemas.IngestGroup(topic)

func TestARecordThatIsReadWhileASettlerLooksIsNotTakenForALoss(t *testing.T) {
	b, d := decided(t)
	b.groups[ingestGroup] = map[int32]Mark{0: {10, 3}}
	b.onEnds = func() { // one more is written, read and committed
		b.ends[0].Offset++
		b.groups[ingestGroup][0] = Mark{b.ends[0].Offset, 3}
	}
	if l := b.settle(t, d, nil); len(l) != 1 {
		t.Errorf("decided is %+v", l)
	}
}

func TestWhatAMemberReadAndNobodyCommittedProvesThatALogLostIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := decided(t)
		s := NewSettler(SettlerOptions{Brokers: b, Decisions: d})
		b.settle(t, d, nil, s)
		s.Lost(topic, d.l[topic], 1, schemas.Reached{Offset: 9, Diverges: 6}) // it has grown to 10 again
		l := b.settle(t, d, nil, s)
		if len(l) != 2 || l[1].Cause != schemas.IncarnationTruncated || l[1].Begins[1] != 6 || l[1].Ends[1] != 9 || len(l[1].Begins) != 1 {
			t.Fatalf("decided is %+v", l)
		}
		if l = b.settle(t, d, nil, s); len(l) != 2 {
			t.Errorf("the same loss is decided again: %+v", l)
		}
	})
}

func TestALogThatLosesItsTailAgainBeforeAnythingIsCommittedIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]int64{"it is shorter": 4, "it has grown again": 20} {
			b, d := decided(t)
			b.groups[ingestGroup] = map[int32]Mark{0: {10, 3}}
			b.ends[0] = Mark{7, 4}
			b.epochEnds[0] = map[int32]int64{3: 7}
			if l := b.settle(t, d, nil); len(l) != 2 || l[1].Begins[0] != 7 {
				t.Fatalf("%s: the first loss is decided as %+v", name, l)
			}
			b.ends[0] = Mark{end, 5}
			b.epochEnds[0] = map[int32]int64{3: 4, 4: 4}
			if l := b.settle(t, d, nil); len(l) != 3 || l[2].Begins[0] != 4 {
				t.Errorf("%s: the second loss is decided as %+v", name, l)
			}
		}
	})
}

func TestWhatWasCommittedBeforeAnotherPartitionLostRecordsStillCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := decided(t)
		b.groups[ingestGroup] = map[int32]Mark{0: {10, 3}, 1: {8, 3}}
		b.ends[0] = Mark{7, 4}
		if l := b.settle(t, d, nil); len(l) != 2 {
			t.Fatalf("decided is %+v", l)
		}
		b.id, b.ends = "b", []Mark{{1, 0}, {1, 0}} // made again
		l := b.settle(t, d, nil)
		if len(l) != 3 || l[2].Ends[1] != 8 {
			t.Errorf("8 records of partition 1 were read, and decided is %+v", l)
		}
	})
}

func TestWhatIsStoredAndNotCommittedTellsALogThatGrewAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			what     string
			epochEnd int64
			want     int
		}{{"the log has all of it", 10, 1}, {"the log lost some of it and grew again", 6, 2}} {
			b, d := decided(t)
			b.groups[ingestGroup] = map[int32]Mark{0: {5, 3}}
			b.epochEnds[0] = map[int32]int64{3: c.epochEnd}
			if l := b.settle(t, d, map[int32]int64{0: 9}); len(l) != c.want {
				t.Errorf("%s: decided is %+v", c.what, l)
			}
		}
	})
}

func TestRecordsOfAnotherTopicOfTheNameAreNotTaken(t *testing.T) {
	id := [16]byte{1}
	l := schemas.Lineage{{Topic: topic, TopicID: kadm.TopicID(id).String(), Cause: schemas.IncarnationFirst}}
	fetches := func(id [16]byte) kgo.Fetches {
		return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: string(topic), TopicID: id}}}}
	}
	for _, c := range []struct {
		id   [16]byte
		l    schemas.Lineage
		want bool
	}{{id, l, true}, {[16]byte{2}, l, false}, {[16]byte{}, l, true}, {[16]byte{2}, nil, true}} {
		if got := sameTopic(fetches(c.id), c.l); got != c.want {
			t.Errorf("records of topic %v are taken: %t", c.id, got)
		}
	}
}
