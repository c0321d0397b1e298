package pipeline_test

import (
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

func TestADeadLetterIsDecidedOnOnceAndTheEndIsKept(t *testing.T) {
	s := pipeline.Republications{Store: pipelinetest.NewStore()}
	at := schemas.TimeOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	ada := pipeline.Republication{Topic: schemas.TopicContacts, LetterID: "a1", By: "ada", At: at}
	bob := ada
	bob.By = "bob"
	if _, ok, err := s.Of(t.Context(), ada.Topic, ada.LetterID); ok || err != nil {
		t.Fatalf("before anything was decided: %v, %v", ok, err)
	}
	if r, err := s.Decide(t.Context(), ada); err != nil || r.By != "ada" {
		t.Fatalf("the first decides %+v, %v", r, err)
	}
	if r, err := s.Decide(t.Context(), bob); err != nil || r.By != "ada" || !r.At.Equal(at.Time) || !r.PublishedAt.IsZero() {
		t.Errorf("the second reads %+v, %v", r, err)
	}
	ada.PublishedAt, ada.Partition, ada.Offset = at, 3, 700
	for _, r := range []pipeline.Republication{ada, bob} { // the first record of the end counts
		if err := s.Published(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := s.Decide(t.Context(), bob); err != nil || r.By != "ada" || r.Offset != 700 || r.PublishedAt.IsZero() {
		t.Errorf("after it was published the second reads %+v, %v", r, err)
	}
	other := bob
	other.LetterID = "b2"
	if r, err := s.Decide(t.Context(), other); err != nil || r.By != "bob" {
		t.Errorf("another letter is decided on as %+v, %v", r, err)
	}
}
