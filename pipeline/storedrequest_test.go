package pipeline_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// A worker of the release before reads the request as an object and ignores what it does not
// know. It must not export everybody's data in place of one person's.
func TestAnOlderWorkerCannotReadARequestWhoseLimitsItWouldIgnore(t *testing.T) {
	for name, limited := range map[string]bool{"everybody": false, "one-person": true} {
		store := pipelinetest.NewStore()
		d := pipeline.Decisions{Store: store, Now: time.Now}
		r := &schemas.ExportRequest{TenantID: "acme", ExportID: name, Entity: schemas.EntityInteraction}
		if limited {
			r.Contacts, r.Reason = []string{`it's "eve"`}, "case 1"
		}
		none := func() (pipeline.Acceptance, error) { return pipeline.Acceptance{}, nil }
		_, err := d.Accept(t.Context(), r, pipeline.Origin{}, none)
		check(t, err)
		again, err := d.Accept(t.Context(), r, pipeline.Origin{}, none)
		if read, found, readErr := d.Accepted(t.Context(), "acme", name); err != nil || readErr != nil || !found ||
			!reflect.DeepEqual(read.Request.Contacts, r.Contacts) || !reflect.DeepEqual(again.Request.Contacts, r.Contacts) {
			t.Errorf("%s was stored as %+v, want %+v, %v, %v", name, read.Request, r, err, readErr)
		}
		stored, err := store.GetBytes(t.Context(), "acme/"+name+"/accepted.json", 1<<20)
		check(t, err)
		var older struct {
			Request *struct {
				ExportID string `json:"export_id"`
			} `json:"request"`
		}
		var malformed *schemas.MalformedError
		if err := schemas.Read(stored, &older); errors.As(err, &malformed) != limited {
			t.Errorf("an older worker reads %s as %+v, %v", name, older.Request, err)
		}
	}
}

// check fails the test on an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
