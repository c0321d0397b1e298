package export_test

import (
	"bytes"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// While releases are mixed, a worker takes over an export whose request has a limit that it does
// not know. It must not export what the limit leaves out; a newer worker takes the export up
// when it is retried.
func TestAWorkerFailsWhatANewerOneAcceptedUnderALimitThatItDoesNotKnow(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	r := request("e")
	r.Contacts, r.Reason = []string{"ann"}, "case 1"
	check(t, s.worker(nil, nil).Handle(t.Context(), s.published(r)))

	key := schemas.ExportPrefix(r.TenantID, "e") + "accepted.json"
	accepted, err := s.store.GetBytes(t.Context(), key, 1<<20)
	check(t, err)
	replace := func(content []byte) {
		t.Helper()
		check(t, s.store.Remove(t.Context(), key))
		check(t, s.store.PutBytes(t.Context(), key, content, schemas.ContentTypeJSON))
	}
	newer := bytes.Replace(accepted, []byte(`\"contacts\":`), []byte(`\"households\":`), 1)
	if bytes.Equal(newer, accepted) {
		t.Fatalf("the accepted request has no contacts: %s", accepted)
	}
	replace(newer)
	check(t, s.worker(nil, nil).Work(t.Context()))
	if e := schemas.Fold(s.statuses("e")...); e.State != schemas.Failed || len(s.artifacts("e")) > 0 {
		t.Errorf("the older worker makes it %s with %v", e.State, s.artifacts("e"))
	}

	replace(accepted)
	check(t, s.handle(t.Context(), s.worker(nil, nil), control(schemas.ActionRetry, "e")))
	if e := schemas.Fold(s.statuses("e")...); e.State != schemas.Completed || e.Done.Rows == 0 || e.Done.Rows >= 100 {
		t.Errorf("the newer worker makes it %s with %d rows: %+v", e.State, e.Done.Rows, e.Failure)
	}
}
