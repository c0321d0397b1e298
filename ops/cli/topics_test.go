package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/ops/cli"
)

// TestTheExamplesOfHelpTopicsRunAsShown is somebody who reads the topics, one after the other,
// and types what they show: on the machine that runs the system, with a server to act through.
func TestTheExamplesOfHelpTopicsRunAsShown(t *testing.T) {
	work, home, bin := t.TempDir(), t.TempDir(), t.TempDir()
	_, server := upAt(t, filepath.Join(work, ".cdds"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "cdds")); err != nil {
		t.Fatal(err)
	}
	var made struct{ Secret string }
	out := cdds(t, "--data-dir", filepath.Join(work, ".cdds"), "token", "create", "--tenant", "acme", "--role", "administrator", "--name", "reader", "--json")
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	shell := func(script string) {
		t.Helper()
		cmd := exec.Command("bash", "-euxo", "pipefail", "-c", script)
		cmd.Dir, cmd.Stdin = work, strings.NewReader(made.Secret+"\n")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+home, "XDG_CONFIG_HOME="+home, "CDDS_CONFIG=", "CDDS_SERVER=", "CDDS_TOKEN=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	shell("cdds login --server " + server + "\ncp .cdds/service/cert.pem service.pem")
	shown, topics := map[string][]string{}, []string{}
	for _, c := range cli.Commands().Commands() {
		if !c.IsAdditionalHelpTopicCommand() || c.Name() == "completion" || c.Name() == "help" {
			continue
		}
		topics = append(topics, c.Name())
		for line := range strings.Lines(c.Long) {
			if strings.HasPrefix(line, "  cdds ") {
				shown[c.Name()] = append(shown[c.Name()], strings.TrimSpace(line))
			}
		}
		if len(shown[c.Name()]) == 0 {
			t.Errorf("cdds help %s shows no example", c.Name())
		}
	}
	// Whoever receives makes the keys before, and opens what the topic of exports downloaded.
	keys, open := shown["receiving"][:1], shown["receiving"][1:]
	order := [][]string{keys, shown["ingest"], shown["exports"], open, shown["chains"], shown["privacy"], shown["servers"], shown["output"]}
	if all := slices.Concat(order...); len(topics) != len(order)-1 {
		t.Fatalf("the topics are %q, and the examples run are %q", topics, all)
	}
	for _, examples := range order {
		shell(strings.Join(examples, "\n"))
	}
}
