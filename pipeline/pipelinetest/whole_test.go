package pipelinetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

func TestAPlanMadeWhileRowsWereLostIsNotKept(t *testing.T) {
	w := pipelinetest.NewWarehouse()
	for _, r := range pipelinetest.Records(rowsHeld) {
		check(t, w.InsertInteractions(t.Context(), schemas.Batch[*schemas.Interaction]{Records: []schemas.Record[*schemas.Interaction]{r}}))
	}
	all := w.Backup()
	lose := func() {
		w.Drop(schemas.TopicInteractions, func(e *schemas.Interaction) bool { return e.MediaType == "voice" })
	}
	errLost := errors.New("records are missing")
	for name, c := range map[string]struct {
		before func()
		whole  func() error
	}{
		"they are missing":                   {lose, func() error { return errLost }},
		"they came back between the counts":  {lose, func() error { w.Restore(all); return nil }},
		"they were lost between the counts":  {func() {}, func() error { lose(); return nil }},
		"nothing can say whether any is not": {func() {}, func() error { return errLost }},
	} {
		t.Run(name, func(t *testing.T) {
			w.Restore(all)
			cert, key := pair()
			e := pipeline.New(pipeline.Options{
				Source: w, Store: pipelinetest.NewStore(), Spools: pipeline.NewSpools(64 << 20), Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
			})
			q := pipelinetest.Everything(rowsHeld, rowsHeld)
			x := pipeline.Export{ID: "e1", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 40 << 10}
			x.Whole = func(context.Context) error { return c.whole() }
			c.before()
			if plan, err := e.Plan(t.Context(), x); err == nil {
				t.Fatalf("there is a plan with %d rows", plan.Rows)
			}
			w.Restore(all)
			x.Whole = func(context.Context) error { return nil }
			plan, err := e.Plan(t.Context(), x)
			if err != nil || plan.Rows != rowsHeld {
				t.Errorf("the plan has %d rows of %d, %v", plan.Rows, rowsHeld, err)
			}
		})
	}
}
