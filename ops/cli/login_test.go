package cli_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"cdds/schemas"
)

// TestASavedContextSaysServerTokenAndTenant is the day of somebody who has a URL and a
// token, logs in once, and never names either again.
func TestASavedContextSaysServerTokenAndTenant(t *testing.T) {
	dir, work, home := filepath.Join(t.TempDir(), "data"), t.TempDir(), t.TempDir()
	_, server := upAt(t, dir)
	writeSample(t, work+"/in.jsonl", 300)
	cdds(t, "--data-dir", dir, "import", "interactions", work+"/in.jsonl")
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	token := func(tenant string) string {
		t.Helper()
		return strings.TrimSpace(string(cdds(t, "--data-dir", dir, "token", "create", "--tenant", tenant, "--role", "administrator", "--name", "laptop")))
	}
	try := func(stdin string, args ...string) (stdout, stderr string, err error) {
		cmd := command(t, args...)
		var out, problems bytes.Buffer
		cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = work, strings.NewReader(stdin), &out, &problems
		cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CONFIG_HOME="+home)
		err = cmd.Run()
		return out.String(), problems.String(), err
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		stdout, stderr, err := try(stdin, args...)
		if err != nil {
			t.Fatalf("cdds %s: %v: %s", strings.Join(args, " "), err, stderr)
		}
		return stdout
	}

	secret := token("acme")
	if _, stderr, err := try("cdds_wrong\n", "login", "--server", server); err == nil || strings.Contains(stderr, "cdds_wrong") {
		t.Errorf("a login with a wrong token: %v, %s", err, stderr)
	}
	if out := must(secret+"\n", "login", "work", "--server", server); !strings.Contains(out, "tenant: acme") || strings.Contains(out, secret) {
		t.Errorf("login said %s", out)
	}
	must(token("*"), "login", "all", "--server", server)
	if info, err := os.Stat(home + "/cdds/contexts.json"); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the contexts: %v, %v", info, err)
	}

	// A token of all tenants has no tenant; one of the command, the environment or the
	// context's own has.
	if _, stderr, err := try("", "export", "list"); code(err) != 2 || !strings.Contains(stderr, "--tenant is required") {
		t.Errorf("a list of no tenant ended with %d: %s", code(err), stderr)
	}
	if out := must("", "tenant", "list", "-o", "csv"); !strings.HasPrefix(out, "tenant\nacme\n") {
		t.Errorf("the tenants are %s", out)
	}
	if out := must("", "tenant", "list", "--search", "ACM", "-o", "csv", "--data-dir", dir); out != "tenant\nacme\n" {
		t.Errorf("without a server the tenants that contain ACM are %s", out)
	}
	must("", "context", "use", "work")
	if out := must("", "whoami"); !strings.Contains(out, "laptop") || !strings.Contains(out, "acme") || !strings.Contains(out, "administrator") {
		t.Errorf("whoami said %s", out)
	}
	must("", "export", "create", "--id", "one", "--from", "2020-01-01", "--to", "2030-01-01", "--recipient", work+"/cert.pem")

	var e schemas.Export
	if err := json.Unmarshal([]byte(lastLine(must("", "export", "watch", "one", "--json"))), &e); err != nil || e.State != schemas.Completed {
		t.Errorf("watch ended with %s, %v", e.State, err)
	}
	rows, err := csv.NewReader(strings.NewReader(must("", "export", "list", "-o", "csv"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][0] != "export" || rows[1][0] != "one" {
		t.Errorf("as CSV the exports are %v, %v", rows, err)
	}
	var listed struct {
		TenantID string `yaml:"tenant_id"`
		Exports  []struct {
			ExportID string `yaml:"export_id"`
			State    string `yaml:"state"`
		} `yaml:"exports"`
	}
	if err := yaml.Unmarshal([]byte(must("", "export", "list", "-o", "yaml")), &listed); err != nil || len(listed.Exports) != 1 || listed.Exports[0].ExportID != "one" || listed.TenantID != "acme" {
		t.Errorf("as YAML the exports are %+v, %v", listed, err)
	}
	if _, stderr, err := try("", "export", "show", "one", "-o", "csv"); code(err) != 2 || !strings.Contains(stderr, "csv needs a list") {
		t.Errorf("an export as CSV ended with %d: %s", code(err), stderr)
	}
	for line, want := range map[string]string{"export show ": "one\tcompleted", "export list --tenant ": "acme", "context use ": "work"} {
		args := strings.Split(line, " ")
		if out := must("", append([]string{"__complete"}, args...)...); !strings.Contains(out, want) {
			t.Errorf("%q completes to %q", line, out)
		}
	}

	// Who says where the services are means them.
	if out := must("", "whoami", "--data-dir", dir); !strings.Contains(out, "services themselves") {
		t.Errorf("whoami on a data directory said %s", out)
	}
	must("", "context", "delete", "work")
	if _, stderr, err := try("", "context", "use", "wor"); code(err) != 2 {
		t.Errorf("a context that is not there: %d, %s", code(err), stderr)
	}
	if saved, err := os.ReadFile(home + "/cdds/contexts.json"); err != nil || strings.Contains(string(saved), secret) {
		t.Errorf("a deleted context left its token: %v", err)
	}
	if err := os.Chmod(home+"/cdds/contexts.json", 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := try("", "context", "list"); runtime.GOOS != "windows" && (code(err) != 2 || !strings.Contains(stderr, "chmod 600")) {
		t.Errorf("contexts that others can read: %d, %s", code(err), stderr)
	}
}

func code(err error) int {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
