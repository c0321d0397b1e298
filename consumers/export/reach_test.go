package export_test

import (
	"context"
	"strings"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

const incarnation = 1 << 40

// remade is a topic that was made again after two of its records were sealed into a snapshot.
// Nobody had read them, and nobody else knows of them: nothing is stored.
type remade struct {
	pipelinetest.Log
	lineage schemas.Lineage
}

func (r remade) Used(_ context.Context, _ schemas.Topic, to schemas.Snapshot) (all []schemas.Run, _ error) {
	for p, next := range to {
		all = append(all, r.lineage.Used(int32(p), next)...)
	}
	return all, nil
}

func (remade) Missing(_ context.Context, _ schemas.Topic, used []schemas.Run) (n int64, _ error) {
	for _, r := range used {
		n += r.Next - r.First
	}
	return n, nil
}

func (remade) Gaps(_ context.Context, _ schemas.Topic, used []schemas.Run, _ int) ([]schemas.Run, bool, error) {
	return used, false, nil
}

func (remade) Gone(_ context.Context, _ schemas.Topic, runs []schemas.Run) ([]schemas.Run, error) {
	return runs, nil
}

func TestAnExportOfATopicThatIsGoneIsNotTakenForWholeBecauseALaterOneWaitsWithIt(t *testing.T) {
	s := newScene()
	w := s.worker(nil, nil)
	end := schemas.Snapshot{2}
	log := remade{pipelinetest.Log{End: func() schemas.Snapshot { return end }}, schemas.Lineage{
		{Topic: schemas.TopicInteractions, Cause: schemas.IncarnationFirst},
		{Topic: schemas.TopicInteractions, Number: 1, Cause: schemas.IncarnationReplaced},
	}}
	w.Log, w.Ledger = log, log
	check(t, w.Handle(t.Context(), s.published(request("before"))))
	end = schemas.Snapshot{incarnation}
	check(t, w.Handle(t.Context(), s.published(request("after"))))
	check(t, w.Work(t.Context()))
	before, after := schemas.Fold(s.statuses("before")...), schemas.Fold(s.statuses("after")...)
	if before.State != schemas.Failed || !strings.Contains(before.Failure.Reason, "positions 0 to 1 of partition 0") {
		t.Errorf("the export from before is %s: %+v", before.State, before.Failure)
	}
	if after.State != schemas.Completed {
		t.Errorf("the other one is %s: %+v", after.State, after.Failure)
	}
}
