package app_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"cdds/ops/app"
	"cdds/ops/cli"
)

// TestDoctorMissesEveryRoleThatNobodyRuns takes a role of each kind away.
func TestDoctorMissesEveryRoleThatNobodyRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	missing := func(args ...string) (roles []string, healthy bool) {
		t.Helper()
		var out bytes.Buffer
		code := cli.Main(append([]string{"doctor", "--data-dir", dir, "--json"}, args...), strings.NewReader(""), &out, &out)
		var said struct {
			Healthy  bool
			Findings []struct {
				Check, Detail string
				Healthy       bool
			}
		}
		check(t, json.Unmarshal(out.Bytes(), &said))
		if (code == 0) != said.Healthy {
			t.Errorf("exit code %d: %s", code, out.String())
		}
		for _, f := range said.Findings {
			if role, ok := strings.CutPrefix(f.Check, "role "); ok && !f.Healthy && strings.Contains(f.Detail, "no process runs this role") {
				role, _, _ = strings.Cut(role, " ")
				if !slices.Contains(roles, role) {
					roles = append(roles, role)
				}
			}
		}
		return roles, said.Healthy
	}
	if got, _ := missing(); !slices.Equal(got, app.Roles()) {
		t.Errorf("with nothing running %v are missed", got)
	}
	stops := map[string]func(){}
	for _, role := range app.Roles() {
		stops[role] = w.run(role)
	}
	w.doctor(dir)
	for _, role := range []string{"retention", "webhooks", "web"} {
		stops[role]()
		if got, healthy := missing(); healthy || !slices.Equal(got, []string{role}) {
			t.Errorf("without %s, %v are missed, healthy %t", role, got, healthy)
		}
		others := slices.DeleteFunc(app.Roles(), func(other string) bool { return other == role })
		if got, healthy := missing("--roles", strings.Join(others, ",")); !healthy {
			t.Errorf("without %s, which was not asked for, %v are missed", role, got)
		}
		stops[role] = w.run(role)
		w.doctor(dir)
	}
}
