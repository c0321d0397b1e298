package connect

import (
	"context"
	"slices"
	"testing"

	"cdds/consumers"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// brokers have one topic with two partitions, under the leader epoch 7.
type brokers struct {
	consumers.Brokers
	committed map[string]map[int32]consumers.Mark
	ends      map[int32]int64
	// elected says that a partition had another leader for a moment.
	elected *bool
	// early is how often it is answered as before the last record.
	early *int
}

func (brokers) TopicID(context.Context, schemas.Topic) (string, error) { return "id", nil }

func (brokers) Starts(context.Context, schemas.Topic) (schemas.Snapshot, error) {
	return schemas.Snapshot{0, 0}, nil
}

func (brokers) Ends(context.Context, schemas.Topic) ([]consumers.Mark, error) {
	return []consumers.Mark{{Offset: 9, Epoch: 7}, {Offset: 5, Epoch: 7}}, nil
}

func (b brokers) Stable(context.Context, schemas.Topic) ([]consumers.Mark, error) {
	if b.elected != nil && !*b.elected {
		*b.elected = true
		return []consumers.Mark{{Offset: 2, Epoch: 8}, {Offset: 5, Epoch: 7}}, nil
	}
	if b.early != nil && *b.early > 0 {
		*b.early--
		return []consumers.Mark{{Offset: 7, Epoch: 7}, {Offset: 5, Epoch: 7}}, nil
	}
	return []consumers.Mark{{Offset: 8, Epoch: 7}, {Offset: 5, Epoch: 7}}, nil
}

func (b brokers) Committed(_ context.Context, group string, _ schemas.Topic) (map[int32]consumers.Mark, error) {
	return b.committed[group], nil
}

func (b brokers) Commit(_ context.Context, group string, _ schemas.Topic, marks map[int32]consumers.Mark) error {
	b.committed[group] = marks
	return nil
}

func (b brokers) EpochEnds(context.Context, schemas.Topic, map[int32]int32) (map[int32]int64, error) {
	return b.ends, nil
}

// A log loses its tail, another one grows in its place, a snapshot is sealed of that, and only
// then is it found: the snapshot's records have the positions of the next incarnation.
func TestASnapshotSealedBeforeALossWasKnownGetsThePositionsOfTheLogItIsOf(t *testing.T) {
	const life = 1 << 40
	truncated := schemas.Incarnation{Topic: schemas.TopicInteractions, Number: 1, TopicID: "id", Cause: schemas.IncarnationTruncated, Begins: map[int32]int64{0: 3}, Ends: map[int32]int64{0: 8}}
	replaced := schemas.Incarnation{Topic: schemas.TopicInteractions, Number: 1, TopicID: "id", Cause: schemas.IncarnationReplaced}
	for _, c := range []struct {
		what string
		next schemas.Incarnation
		ends map[int32]int64
		want schemas.Snapshot
	}{
		{"the log has all that was sealed", truncated, map[int32]int64{0: 8}, schemas.Snapshot{life + 8, 5}},
		{"what was sealed is gone", truncated, map[int32]int64{0: 3}, schemas.Snapshot{8, 5}},
		{"the brokers do not know", truncated, nil, schemas.Snapshot{8, 5}},
		{"the topic was made again", replaced, map[int32]int64{0: 8, 1: 5}, schemas.Snapshot{8, 5}},
	} {
		t.Run(c.what, func(t *testing.T) {
			decisions := pipeline.Incarnations{Store: pipelinetest.NewStore()}
			first := schemas.Incarnation{Topic: schemas.TopicInteractions, TopicID: "id", Cause: schemas.IncarnationFirst}
			l, err := decisions.Decide(t.Context(), schemas.TopicInteractions, nil, first)
			if err == nil {
				_, err = decisions.Decide(t.Context(), schemas.TopicInteractions, l, c.next)
			}
			if err != nil {
				t.Fatal(err)
			}
			b := brokers{committed: map[string]map[int32]consumers.Mark{}, ends: c.ends}
			offsets := NewOffsets(b, consumers.NewSettler(consumers.SettlerOptions{Brokers: b, Decisions: decisions}))
			if _, err := offsets.Lineage(t.Context(), schemas.TopicInteractions); err != nil {
				t.Fatal(err)
			}
			now, err := offsets.Now(t.Context(), schemas.TopicInteractions, schemas.Snapshot{8, 5}, []int32{7, 7})
			if err != nil || !slices.Equal(now, c.want) {
				t.Errorf("the snapshot is %v, %v, want %v", now, err, c.want)
			}
		})
	}
}

func TestASealedSnapshotIsCommittedWithItsLeaderEpochs(t *testing.T) {
	b := brokers{committed: map[string]map[int32]consumers.Mark{}}
	settler := consumers.NewSettler(consumers.SettlerOptions{Brokers: b, Decisions: pipeline.Incarnations{Store: pipelinetest.NewStore()}})
	snapshot, _, err := NewOffsets(b, settler).Seal(t.Context(), schemas.TopicInteractions)
	if err != nil || !slices.Equal(snapshot, schemas.Snapshot{8, 5}) {
		t.Fatalf("sealed is %v, %v", snapshot, err)
	}
	// Without them nothing tells a log that lost what was sealed and grew again.
	want := map[int32]consumers.Mark{0: {Offset: 8, Epoch: 7}, 1: {Offset: 5, Epoch: 7}}
	for p, mark := range want {
		if got := b.committed[schemas.GroupSnapshots][p]; got != mark {
			t.Errorf("committed of partition %d is %+v, want %+v", p, got, mark)
		}
	}
}

func TestASnapshotIsSealedThoughAnotherWorkerSealedALaterOneMeanwhile(t *testing.T) {
	for _, c := range []struct {
		early  int
		sealed bool
	}{{1, true}, {2, false}} { // twice: it is not the same log
		b := brokers{committed: map[string]map[int32]consumers.Mark{schemas.GroupSnapshots: {0: {Offset: 8, Epoch: 7}}}, early: &c.early}
		settler := consumers.NewSettler(consumers.SettlerOptions{Brokers: b, Decisions: pipeline.Incarnations{Store: pipelinetest.NewStore()}})
		snapshot, _, err := NewOffsets(b, settler).Seal(t.Context(), schemas.TopicInteractions)
		if c.sealed != (err == nil) || c.sealed && !slices.Equal(snapshot, schemas.Snapshot{8, 5}) {
			t.Errorf("sealed is %v, %v", snapshot, err)
		}
	}
}

func TestASnapshotIsSealedUnderTheLeadersThatTheLogWasSettledUnder(t *testing.T) {
	elected := false
	b := brokers{committed: map[string]map[int32]consumers.Mark{}, elected: &elected}
	settler := consumers.NewSettler(consumers.SettlerOptions{Brokers: b, Decisions: pipeline.Incarnations{Store: pipelinetest.NewStore()}})
	snapshot, _, err := NewOffsets(b, settler).Seal(t.Context(), schemas.TopicInteractions)
	if err != nil || !slices.Equal(snapshot, schemas.Snapshot{8, 5}) || !elected {
		t.Errorf("sealed is %v, %v", snapshot, err)
	}
}

func TestBrokersThatDoNotKnowAnEpochHoldUpNoSnapshot(t *testing.T) {
	for _, c := range []struct {
		settled, stable int32
		same            bool
	}{{7, 7, true}, {7, 8, false}, {-1, 7, true}, {7, -1, true}} {
		log := schemas.Log{Epochs: []int32{c.settled}}
		if got := sameLeaders(log, []consumers.Mark{{Offset: 3, Epoch: c.stable}}); got != c.same {
			t.Errorf("epoch %d, then %d: %t", c.settled, c.stable, got)
		}
	}
	if sameLeaders(schemas.Log{Epochs: []int32{7}}, []consumers.Mark{{Epoch: 7}, {Epoch: 7}}) {
		t.Error("a partition was added meanwhile")
	}
}
