package cli_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestEveryOutcomeOfCreateEndsInOneObjectWithIDAndState runs `export create --json` in
// the ways it can end.
func TestEveryOutcomeOfCreateEndsInOneObjectWithIDAndState(t *testing.T) {
	dir, work := filepath.Join(t.TempDir(), "data"), t.TempDir()
	up(t, dir)
	writeSample(t, work+"/in.jsonl", 50)
	cdds(t, "--data-dir", dir, "import", "interactions", work+"/in.jsonl")
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	base := []string{"--data-dir", dir, "export", "create", "--json", "--from", "2020-01-01", "--to", "2030-01-01"}
	for _, c := range []struct {
		name  string
		args  []string
		state string
		code  int
	}{
		{"it completes", []string{"--tenant", "acme", "--id", "one", "--wait", "--recipient", work + "/cert.pem"}, "completed", 0},
		{"the same again", []string{"--tenant", "acme", "--id", "one", "--wait", "--recipient", work + "/cert.pem"}, "completed", 0},
		{"another under the same id", []string{"--tenant", "acme", "--id", "one", "--media", "chat", "--wait", "--recipient", work + "/cert.pem"}, "refused", 3},
		{"an unknown tenant", []string{"--tenant", "nobody", "--wait", "--recipient", work + "/cert.pem"}, "refused", 3},
		{"a private key", []string{"--tenant", "acme", "--recipient", work + "/key.pem"}, "refused", 3},
		{"an id nobody can answer", []string{"--tenant", "acme", "--id", "a/b", "--wait", "--recipient", work + "/cert.pem"}, "refused", 2},
		{"no such certificate file", []string{"--tenant", "acme", "--recipient", work + "/none.pem"}, "refused", 2},
		{"as of another entity", []string{"--tenant", "acme", "--entity", "contact", "--as-of", "one", "--recipient", work + "/cert.pem"}, "refused", 3},
		{"as of nothing", []string{"--tenant", "acme", "--as-of", "none", "--recipient", work + "/cert.pem"}, "refused", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := command(t, append(base, c.args...)...)
			out, err := cmd.Output()
			code := 0
			if exit, ok := err.(*exec.ExitError); ok {
				code = exit.ExitCode()
			}
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			var last struct {
				ExportID string `json:"export_id"`
				State    string `json:"state"`
			}
			if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
				t.Fatalf("the last line is %s: %v", lines[len(lines)-1], err)
			}
			if last.State != c.state || last.ExportID == "" || code != c.code {
				t.Errorf("state %q, id %q, exit code %d; want %s and %d: %s", last.State, last.ExportID, code, c.state, c.code, out)
			}
		})
	}
}
