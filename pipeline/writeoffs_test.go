package pipeline_test

import (
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// A client that gets no answer sends the request again, and the store answers that an object
// exists: the client's own.
func TestAWriteOffWhoseAnswerGotLostIsRecordedOnce(t *testing.T) {
	store := pipelinetest.NewStore()
	faults := &pipelinetest.Faults{}
	faults.Step = func(call int, m pipelinetest.Moment) error {
		if call == 2 && m == pipelinetest.After { // the first put
			return bucket.ErrExists
		}
		return nil
	}
	w := schemas.WriteOff{
		Topic: schemas.TopicInteractions, Runs: []schemas.Run{{Partition: 1, First: 3, Next: 9}}, Reason: "the disk burnt", By: "root",
		At: schemas.TimeOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)),
	}
	all := func() []schemas.WriteOff {
		t.Helper()
		all, err := pipeline.WriteOffs{Store: store}.All(t.Context(), w.Topic, nil)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	recorded, err := pipeline.WriteOffs{Store: faults.Store(store)}.Record(t.Context(), w)
	if err != nil || recorded.Number != 1 || len(all()) != 1 {
		t.Errorf("recorded is number %d, %v; stored are %+v", recorded.Number, err, all())
	}

	other := w // of somebody else, at the same time
	other.By = "operator"
	if recorded, err = (pipeline.WriteOffs{Store: store}).Record(t.Context(), other); err != nil || recorded.Number != 2 || len(all()) != 2 {
		t.Errorf("another one is number %d, %v; stored are %+v", recorded.Number, err, all())
	}
}
