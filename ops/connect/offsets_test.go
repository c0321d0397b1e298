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
}

func (brokers) TopicID(context.Context, schemas.Topic) (string, error) { return "id", nil }

func (brokers) Starts(context.Context, schemas.Topic) (schemas.Snapshot, error) {
	return schemas.Snapshot{0, 0}, nil
}

func (brokers) Ends(context.Context, schemas.Topic) ([]consumers.Mark, error) {
	return []consumers.Mark{{Offset: 9, Epoch: 7}, {Offset: 5, Epoch: 7}}, nil
}

func (brokers) Stable(context.Context, schemas.Topic) ([]consumers.Mark, error) {
	return []consumers.Mark{{Offset: 8, Epoch: 7}, {Offset: 5, Epoch: 7}}, nil
}

func (b brokers) Committed(_ context.Context, group string, _ schemas.Topic) (map[int32]consumers.Mark, error) {
	return b.committed[group], nil
}

func (b brokers) Commit(_ context.Context, group string, _ schemas.Topic, marks map[int32]consumers.Mark) error {
	b.committed[group] = marks
	return nil
}

func (brokers) EpochEnds(context.Context, schemas.Topic, map[int32]int32) (map[int32]int64, error) {
	return nil, nil
}

func TestASealedSnapshotIsCommittedWithItsLeaderEpochs(t *testing.T) {
	b := brokers{committed: map[string]map[int32]consumers.Mark{}}
	settler := consumers.NewSettler(consumers.SettlerOptions{Brokers: b, Decisions: pipeline.Incarnations{Store: pipelinetest.NewStore()}})
	snapshot, err := NewOffsets(b, settler).Seal(t.Context(), schemas.TopicInteractions)
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
