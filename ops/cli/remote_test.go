package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestTheCommandLineActsThroughAServerWithNothingButAToken(t *testing.T) {
	dir, work := filepath.Join(t.TempDir(), "data"), t.TempDir()
	_, server := upAt(t, dir)
	writeSample(t, work+"/in.jsonl", 300)
	cdds(t, "--data-dir", dir, "import", "interactions", work+"/in.jsonl")
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	token := func(role string) string {
		t.Helper()
		var made struct{ Secret string }
		out := cdds(t, "--data-dir", dir, "token", "create", "--tenant", "acme", "--role", role, "--name", role, "--json")
		if err := json.Unmarshal(out, &made); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(work, role)
		if err := os.WriteFile(file, []byte(made.Secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	// Elsewhere: no data directory, no services, only a URL and a token.
	remote := func(file string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := command(t, append(args, "--server", server, "--token-file", file, "--data-dir", work+"/none")...)
		var stderr bytes.Buffer
		cmd.Dir, cmd.Stderr = work, &stderr
		return cmd, &stderr
	}
	must := func(file string, args ...string) []byte {
		t.Helper()
		cmd, stderr := remote(file, args...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("cdds %s: %v: %s", strings.Join(args, " "), err, stderr)
		}
		return out
	}
	admin, viewer := token("administrator"), token("viewer")

	var e schemas.Export
	out := must(admin, "export", "create", "--tenant", "acme", "--id", "far", "--from", "2020-01-01", "--to", "2030-01-01", "--recipient", work+"/cert.pem", "--wait", "--json")
	if err := json.Unmarshal(out, &e); err != nil || e.State != schemas.Completed || e.Done.Rows == 0 {
		t.Fatalf("create said %v %s", err, out)
	}
	if out := must(viewer, "export", "list", "--tenant", "acme"); !strings.Contains(string(out), "far") {
		t.Errorf("list said %s", out)
	}
	must(viewer, "export", "show", "far", "--tenant", "acme")
	must(viewer, "export", "download", "far", "--tenant", "acme", "--out", work+"/far")
	cdds(t, "verify", work+"/far", "--signer", dir+"/service/cert.pem")

	// certificate and job are made where the services are; jobs run from anywhere.
	cdds(t, "--data-dir", dir, "certificate", "add", work+"/cert.pem", "--tenant", "acme")
	cdds(t, "--data-dir", dir, "job", "create", "--tenant", "acme", "--id", "nightly", "--title", "Nightly", "--all", "--daily", "--at", "02:30", "--recipient", work+"/cert.pem")
	if out := must(viewer, "job", "list", "--tenant", "acme"); !strings.Contains(string(out), "nightly") {
		t.Errorf("job list said %s", out)
	}
	out = must(admin, "job", "run", "nightly", "--tenant", "acme", "--wait", "--json")
	if err := json.Unmarshal(out, &e); err != nil || e.State != schemas.Completed || e.Request.JobID != "nightly" {
		t.Errorf("job run said %v %s", err, out)
	}
	cmd, stderr := remote(admin, "audit", "--tenant", "acme")
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "--server") {
		t.Errorf("a command that cannot act through a server said %v %s", err, stderr)
	}

	for why, args := range map[string][]string{
		"a viewer cancels":        {"export", "cancel", "far", "--tenant", "acme"},
		"another tenant's export": {"export", "show", "far", "--tenant", "globex"},
	} {
		cmd, _ := remote(viewer, args...)
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%s: %v, want exit code 3", why, err)
		}
	}
	if err := os.WriteFile(viewer, []byte("cdds_wrong_token"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, stderr = remote(viewer, "export", "list", "--tenant", "acme")
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "cdds token create") {
		t.Errorf("with a wrong token: %v %s", err, stderr)
	}
}
