//go:build !receiver

package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestAFieldPolicyIsWhatTheFlagsOrTheFileSay(t *testing.T) {
	want := &schemas.FieldPolicy{Preset: "identifiers", LeaveOut: []string{"/text", "/attributes/a,b"}, Truncate: map[string]int{"/attributes/a=b": 2}, Pseudonym: []string{"/agent_id"}, Unknown: "keep"}
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(`{"preset":"identifiers","leave_out":["/text","/attributes/a,b"],"truncate":{"/attributes/a=b":2},"pseudonym":["/agent_id"],"unknown":"keep"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []policyFlags{
		{preset: "identifiers", leaveOut: []string{"/text", "/attributes/a,b"}, truncate: []string{"/attributes/a=b=2"}, pseudonym: []string{"/agent_id"}, unknown: "keep"}, {file: file},
	} {
		if got, err := f.value(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v is %+v, %v", f, got, err)
		}
	}
	if got, err := (&policyFlags{leaveOut: []string{""}}).value(); got != nil || err != nil {
		t.Errorf("no flag is %+v, %v", got, err)
	}
	if err := os.WriteFile(file, []byte(`{"leave_ou":["/text"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for problem, f := range map[string]policyFlags{
		"must be pointer=n": {truncate: []string{"/queue"}}, "is named twice": {truncate: []string{"/queue=1", "/queue=2"}},
		"\"/leave_ou\" is unknown": {file: file}, "no such file": {file: file + ".not"},
	} {
		if _, err := f.value(); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%+v: %v, want %s", f, err, problem)
		}
	}
}
