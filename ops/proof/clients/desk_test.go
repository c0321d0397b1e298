package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/ops/cli"
	"cdds/ops/stack"
	"cdds/ops/stack/engine"
)

const top = "../../.."

// TestMain lets this test binary be cdds, under that name and as a child of it.
func TestMain(m *testing.M) {
	child := len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "__")
	if filepath.Base(os.Args[0]) == "cdds" || child {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// patience is how long a client may take: long, for machines that stand still for a while.
const patience = 3 * time.Minute

// desk is a directory as the page has it, with bin/cdds, .tools, and .cdds of a system
// that runs.
type desk struct {
	dir    string
	before string // the block that all others come after
}

// newDesk starts cdds up, which ends with the test.
func newDesk(t *testing.T) *desk {
	t.Helper()
	if _, err := engine.Library(t.Context(), func(string) {}); errors.Is(err, engine.ErrNoLibrary) {
		t.Skip(err)
	}
	d := &desk{dir: t.TempDir(), before: chapter(t, "Before")[0].text}
	self, err := os.Executable()
	check(t, err)
	tools, err := filepath.Abs(top + "/.tools")
	check(t, err)
	check(t, errors.Join(os.Mkdir(d.dir+"/bin", 0o700), os.Symlink(self, d.dir+"/bin/cdds"), os.Symlink(tools, d.dir+"/.tools")))

	var log bytes.Buffer
	up := exec.Command("bin/cdds", "up", "--json", "--log-level", "warn")
	up.Dir, up.Stderr = d.dir, &log
	up.Env = append(os.Environ(), "CDDS_WEB_LISTEN=127.0.0.1:0", stack.ClickHouseEnv+"=") // nobody would drop its database
	up.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := up.StdoutPipe()
	check(t, err)
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that started it ends
		started <- up.Start()
		ended <- up.Wait()
	}()
	check(t, <-started)
	t.Cleanup(func() {
		_ = up.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil || t.Failed() {
			t.Logf("cdds up ended with %v and said:\n%s", err, log.String())
		}
	})
	for lines := json.NewDecoder(out); ; {
		var line struct{ Ready bool }
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("cdds up did not get ready: %v\n%s", err, log.String())
		}
		if line.Ready {
			break
		}
	}
	d.run(t, "") // the pair is made, the certificate registered
	return d
}

// shell is bash at the desk, after the first block of the page. environ are NAME=value.
func (d *desk) shell(t *testing.T, script string, environ ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.WaitDelay = d.dir, 5*time.Second
	// Each Java runs for a second.
	cmd.Env = slices.Concat(os.Environ(), []string{"JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}, environ)
	return cmd
}

// try runs a script after the first block, and returns what it printed.
func (d *desk) try(t *testing.T, script string, environ ...string) (string, error) {
	t.Helper()
	out, err := d.shell(t, "{ "+d.before+"} >/dev/null\n"+script, environ...).CombinedOutput()
	return string(out), err
}

// run is try where only success will do.
func (d *desk) run(t *testing.T, script string, environ ...string) string {
	t.Helper()
	out, err := d.try(t, script, environ...)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return out
}

// await waits for an export to be completed, and returns its number of rows.
func (d *desk) await(t *testing.T, id string) (rows int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var e struct {
			State string
			Done  struct{ Rows int }
		}
		cmd := d.shell(t, "bin/cdds export show "+id+" --tenant acme --json")
		said, err := cmd.Output()
		if err == nil {
			check(t, json.Unmarshal(said, &e))
		}
		switch {
		case e.State == "completed":
			return e.Done.Rows
		case slices.Contains([]string{"failed", "refused", "cancelled"}, e.State):
			t.Fatalf("export %s is %s: %s", id, e.State, said)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("export %s does not get completed, last %v: %s", id, err, said)
		}
	}
}

// lines downloads, verifies and decrypts an export with cdds.
func (d *desk) lines(t *testing.T, id string) []string {
	t.Helper()
	d.run(t, "bin/cdds export download "+id+" --tenant acme --out "+id+".sealed\n"+
		"bin/cdds decrypt "+id+".sealed --cert cert.pem --key key.pem --out "+id+".plain --signer .cdds/service/cert.pem")
	files, err := filepath.Glob(filepath.Join(d.dir, id+".plain", "*.jsonl"))
	check(t, err)
	var all []string
	for _, name := range files {
		content, err := os.ReadFile(name)
		check(t, err)
		all = append(all, strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")...)
	}
	return all
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
