package export

import (
	"context"
	"slices"
	"testing"

	"cdds/schemas"
)

// lineage is a topic whose incarnations are known, and nothing else of it.
type lineage struct {
	SourceLog
	of schemas.Lineage
}

func (l lineage) Used(_ context.Context, _ schemas.Topic, to schemas.Snapshot) (all []schemas.Run, _ error) {
	for p, next := range to {
		all = append(all, l.of.Used(int32(p), next)...)
	}
	return all, nil
}

// The topic was made again after two of its records were sealed into a snapshot. Nobody had read
// them: only that snapshot proves that they existed.
func TestWhatSnapshotsHoldTogetherIsWhatEachOfThemHolds(t *testing.T) {
	const next = 1 << 40
	w := &Worker{Options: Options{Log: lineage{of: schemas.Lineage{
		{Topic: schemas.TopicInteractions, Cause: schemas.IncarnationFirst},
		{Topic: schemas.TopicInteractions, Number: 1, Cause: schemas.IncarnationReplaced},
	}}}}
	var all reach
	for _, s := range []schemas.Snapshot{{2}, {next}, {1}, {next + 3}, {1}} {
		all = all.with(s)
	}
	used, err := w.used(t.Context(), schemas.TopicInteractions, all)
	want := []schemas.Run{{Partition: 0, First: 0, Next: 2}, {Partition: 0, First: next, Next: next + 3}}
	if err != nil || !slices.Equal(used, want) || len(all) != 2 {
		t.Errorf("%v hold %v, %v, want %v", all, used, err, want)
	}
}
