// Package packaging_test holds packages, systemd units and the example for containers to the
// program that they start.
package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"cdds/ops/cli"
)

// accepted fails unless cdds has the command and the flags of a command line.
func accepted(t *testing.T, args []string) {
	t.Helper()
	cmd, rest, err := cli.Commands().Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", strings.Join(args, " "), err)
	}
}

var started = regexp.MustCompile(`(?m)^ExecStart=/usr/bin/cdds (.*)$`)

func TestEveryUnitStartsWhatThereIs(t *testing.T) {
	units, err := filepath.Glob("*.service")
	if err != nil || len(units) < 2 {
		t.Fatalf("%v: %v", units, err)
	}
	for _, unit := range units {
		content, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		line := started.FindStringSubmatch(string(content))
		if line == nil {
			t.Fatalf("%s starts nothing", unit)
		}
		accepted(t, strings.Fields(strings.ReplaceAll(line[1], "$CDDS_SYNC", "--tenant acme --job nightly --to sqlite:history.sqlite")))
		if _, err := exec.LookPath("systemd-analyze"); err != nil {
			t.Log("no systemd-analyze: systemd does not read the unit")
			continue
		}
		// /usr/bin/cdds is not on this machine.
		here := filepath.Join(t.TempDir(), strings.Replace(unit, "@", "@nightly", 1))
		if err := os.WriteFile(here, []byte(strings.ReplaceAll(string(content), "/usr/bin/cdds", "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", here).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

func TestTheExampleForContainersStartsASync(t *testing.T) {
	content, err := os.ReadFile("sync.compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: t.TempDir(), ConfigFiles: []types.ConfigFile{{Filename: "sync.compose.yml", Content: content}},
	})
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, project.Services["sync"].Command)
}

var source = regexp.MustCompile(`src: "?([^",]+)`)

func TestEveryFileOfAPackageIsThere(t *testing.T) {
	for _, config := range []string{"service.yaml", "receiver.yaml"} {
		content, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range source.FindAllStringSubmatch(string(content), -1) {
			if strings.HasPrefix(file[1], "${DIR}/") {
				continue // made by ops/tools/release
			}
			if _, err := os.Stat(filepath.Join("../..", file[1])); err != nil {
				t.Errorf("%s: %v", config, err)
			}
		}
	}
}
