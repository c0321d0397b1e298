package console_test

import (
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cdds/schemas"
)

// TestNoCommandThatIsShownRunsWhatAnEventSays forges an export in history: earlier
// versions kept whatever an event said.
func TestNoCommandThatIsShownRunsWhatAnEventSays(t *testing.T) {
	d := newDesk(t, "forged", 0, 0)
	const attack = `x'$(touch pwned)"; touch pwned #`
	d.save(schemas.Export{
		TenantID: "forged", ExportID: "e1", State: schemas.Completed, Events: 1,
		Request:    &schemas.ExportRequest{TenantID: "forged", ExportID: "e1", Entity: schemas.EntityInteraction},
		Parts:      []schemas.Receipt{{Part: schemas.Part{Number: 1, Rows: 1}, Name: attack, Key: attack, SealedSHA256: attack}},
		Completion: &schemas.Completion{ManifestKey: attack, SignatureKey: attack, ManifestSHA256: attack, SignatureSHA256: attack, SignerSHA256: attack},
	})
	dir, bin := t.TempDir(), t.TempDir()
	for _, program := range []string{"curl", "sha256sum", "openssl", "cdds"} {
		check(t, os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\nexit 0\n"), 0o755))
	}
	run := func(what, script string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "sh", "-c", script)
		c.Dir, c.Env = dir, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "CDDS_TOKEN=x"}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", what, err, out)
		}
		for _, in := range []string{dir, filepath.Join(dir, "e1")} {
			if _, err := os.Stat(filepath.Join(in, "pwned")); err == nil {
				t.Fatalf("%s ran what an event says:\n%s", what, script)
			}
		}
		return string(out)
	}
	said := run("the download script", d.get("/artifacts/e1/download.sh"))
	_, command, found := strings.Cut(said, "open it with:  ")
	if !found {
		t.Fatalf("the script says %q", said)
	}
	run("what the script says", command)
	page := d.get("/history/e1") + d.get("/artifacts?export=e1")
	commands := 0
	cuts := strings.Split(page, `data-copy="`)
	for n, cut := range cuts[1:] {
		if strings.HasSuffix(cuts[n], "data-id ") {
			continue // an id is no command
		}
		command, _, _ := strings.Cut(cut, `"`)
		run("a command to copy", html.UnescapeString(command))
		commands++
	}
	if commands < 2 {
		t.Errorf("the pages show %d commands", commands)
	}
}
