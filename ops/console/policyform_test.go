package console

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestTheEditorKeepsTheFieldPolicyThatItShows(t *testing.T) {
	for _, p := range []*schemas.FieldPolicy{
		nil, {Preset: schemas.PresetPersonal}, {Unknown: schemas.UnknownLeaveOut},
		{Preset: schemas.PresetIdentifiers, LeaveOut: []string{"/text", "/attributes/a b"}, Truncate: map[string]int{"/attributes/post code": 2}, Pseudonym: []string{"/agent"}, Unknown: schemas.UnknownKeep},
	} {
		f := jobForm{Job: schemas.Job{FieldPolicy: p}}
		form := url.Values{"preset": {f.Policy().Preset}, "unknown_members": {f.Policy().Unknown}, "hidden": {f.HiddenLines()}}
		got, problems := fieldPolicyOf(form.Get)
		if p != nil && p.Truncate == nil && len(got.Truncate) == 0 {
			got.Truncate = nil
		}
		if len(problems) > 0 || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v was read back as %+v, %v", p, got, problems)
		}
	}
	for line, problem := range map[string]string{
		"hide /text": "must begin with leave_out, truncate, pseudonym", "truncate /queue": "must end with how many", "truncate /queue x": "must end with how many",
		"truncate /queue 1\ntruncate /queue 2": "is named twice",
	} {
		if _, problems := fieldPolicyOf(url.Values{"hidden": {line}}.Get); len(problems) != 1 || !strings.Contains(problems[0], problem) {
			t.Errorf("%q: %v", line, problems)
		}
	}
}
