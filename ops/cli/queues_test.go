package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestQueuesOnTheCommandLineAreTheQueuesThereAre(t *testing.T) {
	dir, work := filepath.Join(t.TempDir(), "data"), t.TempDir()
	_, server := upAt(t, dir)
	var lines strings.Builder
	for n, queue := range []string{"sales", "support", "Sales, EMEA", "Sales"} {
		fmt.Fprintf(&lines, `{"interaction_id":"s%d","tenant_id":"acme","media_type":"voice","started_at":"2026-09-01T10:00:00.000Z","queue":%q}`+"\n", n+1, queue)
	}
	if err := os.WriteFile(work+"/in.jsonl", []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cdds(t, "--data-dir", dir, "import", "interactions", work+"/in.jsonl")
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	cdds(t, "--data-dir", dir, "certificate", "add", work+"/cert.pem", "--tenant", "acme")
	var made struct{ Secret string }
	if err := json.Unmarshal(cdds(t, "--data-dir", dir, "token", "create", "--tenant", "acme", "--role", "administrator", "--name", "queues", "--json"), &made); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(work+"/token", []byte(made.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	create := []string{"export", "create", "--tenant", "acme", "--from", "2026-09-01", "--to", "2026-09-02", "--recipient", work + "/cert.pem", "--wait", "--json"}
	// Until ingest has stored them there are no queues; an export waits for that.
	cdds(t, append([]string{"--data-dir", dir}, create...)...)

	for where, base := range map[string][]string{
		"on the services":  {"--data-dir", dir},
		"through a server": {"--server", server, "--token-file", work + "/token", "--data-dir", work + "/none"},
	} {
		for _, c := range []struct {
			given []string
			rows  int64
			want  []string
		}{
			{[]string{"sales, support"}, 2, []string{"sales", "support"}},
			{[]string{"Sales, EMEA"}, 1, []string{"Sales, EMEA"}},
			{[]string{"Sales, EMEA", "support"}, 2, []string{"Sales, EMEA", "support"}},
			{[]string{`"sales, support"`}, 0, []string{"sales, support"}},
		} {
			args := append(slices.Clone(base), create...)
			for _, g := range c.given {
				args = append(args, "--queue", g)
			}
			var e schemas.Export
			if err := json.Unmarshal(cdds(t, args...), &e); err != nil || e.Done.Rows != c.rows || !slices.Equal(e.Request.Queues, c.want) {
				t.Errorf("%s, --queue %q gives %d rows of %q, %v; want %d of %q", where, c.given, e.Done.Rows, e.Request.Queues, err, c.rows, c.want)
			}
		}
		doubtful := command(t, append(append(slices.Clone(base), create...), "--queue", "sales, no-such-queue")...)
		var stderr bytes.Buffer
		doubtful.Stderr = &stderr
		if err := doubtful.Run(); err == nil || doubtful.ProcessState.ExitCode() != 2 || !strings.Contains(stderr.String(), "no-such-queue") {
			t.Errorf("%s, a queue that is not there: %v, %s", where, err, stderr.String())
		}
		var j schemas.Job
		out := cdds(t, append(slices.Clone(base), "job", "create", "--tenant", "acme", "--title", "Q", "--daily", "--all", "--recipient", work+"/cert.pem", "--queue", "Sales, EMEA", "--json")...)
		if err := json.Unmarshal(out, &j); err != nil || !slices.Equal(j.Queues, []string{"Sales, EMEA"}) {
			t.Fatalf("%s, the job is of %q, %v", where, j.Queues, err)
		}
		out = cdds(t, append(slices.Clone(base), "job", "change", j.JobID, "--tenant", "acme", "--queue", "sales,support", "--json")...)
		if err := json.Unmarshal(out, &j); err != nil || !slices.Equal(j.Queues, []string{"sales", "support"}) {
			t.Errorf("%s, the changed job is of %q, %v", where, j.Queues, err)
		}
	}
}
