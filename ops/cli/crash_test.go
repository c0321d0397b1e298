package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// cdds runs one command to its end and returns its stdout.
func cdds(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := command(t, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cdds %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// command is this test binary as cdds; see TestMain.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "cdds"
	cmd.Env = append(os.Environ(), "CDDS_CONFIG=", "CDDS_DATA_DIR=", "CDDS_SERVER=", "CDDS_TOKEN=", "CDDS_WEB_LISTEN=127.0.0.1:0")
	return cmd
}

// up starts `cdds up` on dir and waits until it is ready.
func up(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd, _ := upAt(t, dir)
	return cmd
}

// upAt is up, and where the web role listens.
func upAt(t *testing.T, dir string) (_ *exec.Cmd, web string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := command(t, "up", "--data-dir", dir, "--json", "--log-level", "warn")
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killTree(cmd.Process.Pid) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.Contains(line, `"ready":true`) {
		_ = cmd.Wait()
		if strings.Contains(stderr.String(), "CDDS_CHDB_LIBRARY") {
			t.Skip("the embedded ClickHouse cannot be had here: ", stderr.String())
		}
		t.Fatalf("cdds up said %q, %v\n%s", line, err, stderr.String())
	}
	var ready struct{ Web string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		t.Fatal(err)
	}
	return cmd, ready.Web
}

// killTree kills -9 a process and all its descendants, parents first, so that none
// has time to do anything about it.
func killTree(pid int) {
	parents := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything.
		fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parents[parent] = append(parents[parent], child)
	}
	for tree := []int{pid}; len(tree) > 0; tree = tree[1:] {
		_ = syscall.Kill(tree[0], syscall.SIGKILL)
		tree = append(tree, parents[tree[0]]...)
	}
}

func show(t *testing.T, dir, id string) (e schemas.Export) {
	t.Helper()
	if err := json.Unmarshal(cdds(t, "--data-dir", dir, "export", "show", id, "--tenant", "acme", "--json"), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// until polls an export until that holds.
func until(t *testing.T, dir, id string, that func(schemas.Export) bool) schemas.Export {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		e := show(t, dir, id)
		if that(e) {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatalf("export %s is %s with %d of %d parts: %+v", id, e.State, e.Done.Parts, e.Planned.Parts, e.Failure)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAnExportSurvivesKillOfTheWholeProcessTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	work := t.TempDir()
	lines := writeSample(t, filepath.Join(work, "in.jsonl"), 12_000)
	system := up(t, dir)
	cdds(t, "--data-dir", dir, "import", "interactions", filepath.Join(work, "in.jsonl"))
	cdds(t, "keygen", "--common-name", "crash", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	ask := func(more ...string) schemas.Export {
		var e schemas.Export
		out := cdds(t, append([]string{
			"--data-dir", dir, "export", "create", "--tenant", "acme", "--from", "2020-01-01", "--to", "2030-01-01",
			"--recipient", work + "/cert.pem", "--split-size", "128KiB", "--json",
		}, more...)...)
		if err := json.Unmarshal(out, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}

	id := ask().ExportID
	before := until(t, dir, id, func(e schemas.Export) bool { return e.Done.Parts >= 5 || e.State.Ended() })
	killTree(system.Process.Pid)
	_ = system.Wait()
	if before.State != schemas.Running {
		t.Fatalf("the export was %s when everything was killed; the test must catch it running", before.State)
	}
	t.Logf("killed with %d of %d parts stored", before.Done.Parts, before.Planned.Parts)

	system = up(t, dir)
	after := until(t, dir, id, func(e schemas.Export) bool { return e.State.Ended() })
	if after.State != schemas.Completed || after.Done.Rows != int64(len(lines)) {
		t.Fatalf("after the restart it is %s with %d of %d rows: %+v", after.State, after.Done.Rows, len(lines), after.Failure)
	}
	undisturbed := ask("--as-of", id, "--wait")
	if undisturbed.State != schemas.Completed || !slices.Equal(digests(after), digests(undisturbed)) {
		t.Error("the digests are not those of an undisturbed run")
	}

	cdds(t, "--data-dir", dir, "export", "download", id, "--tenant", "acme", "--out", work+"/down")
	cdds(t, "verify", work+"/down", "--signer", dir+"/service/cert.pem")
	cdds(t, "decrypt", work+"/down", "--cert", work+"/cert.pem", "--key", work+"/key.pem", "--out", work+"/plain")
	var got []string
	files, _ := filepath.Glob(work + "/plain/interaction-*.jsonl")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")...)
	}
	slices.Sort(got)
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		t.Errorf("%d lines came out, %d went in, and they differ", len(got), len(lines))
	}
	cdds(t, "--data-dir", dir, "doctor")

	if err := system.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := system.Wait(); err != nil {
		t.Error("cdds up ended on SIGTERM with", err)
	}
}

// writeSample writes n interactions of tenant acme and returns the lines.
func writeSample(t *testing.T, file string, n int) (lines []string) {
	t.Helper()
	for e := range sample.Interactions(3, n) {
		e.TenantID = "acme"
		line, err := schemas.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return lines
}

func digests(e schemas.Export) (all []string) {
	for _, p := range e.Parts {
		all = append(all, fmt.Sprint(p.Number, p.Rows, p.JSONLSHA256, p.ZipSHA256))
	}
	return all
}

func TestASecondOpenerOfTheDataDirectoryIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	system := up(t, dir)
	var stderr bytes.Buffer
	second := command(t, "up", "--data-dir", dir)
	second.Stderr = &stderr
	if err := second.Run(); err == nil || !strings.Contains(stderr.String(), strconv.Itoa(system.Process.Pid)) || !strings.Contains(stderr.String(), dir) {
		t.Errorf("the second said %v: %s", err, stderr.String())
	}
}

func TestAfterClickHouseIsLostTheNextStartReadsAllAgain(t *testing.T) {
	dir, work := filepath.Join(t.TempDir(), "data"), t.TempDir()
	system := up(t, dir)
	writeSample(t, work+"/in.jsonl", 200)
	cdds(t, "--data-dir", dir, "import", "interactions", work+"/in.jsonl")
	cdds(t, "keygen", "--out-cert", work+"/cert.pem", "--out-key", work+"/key.pem")
	export := func(id string) (rows string) {
		t.Helper()
		cdds(t, "--data-dir", dir, "export", "create", "--id", id, "--tenant", "acme", "--from", "2020-01-01", "--to", "2030-01-01", "--recipient", work+"/cert.pem", "--wait")
		shown := cdds(t, "--data-dir", dir, "export", "show", id, "--tenant", "acme", "--json")
		return string(regexp.MustCompile(`"done":\{[^}]*"rows":\d+`).Find(shown))
	}
	before := export("before")
	cdds(t, "--data-dir", dir, "doctor")
	if err := system.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = system.Wait()
	if err := os.RemoveAll(filepath.Join(dir, "clickhouse")); err != nil {
		t.Fatal(err)
	}
	up(t, dir)
	if after := export("after"); after != before || after == "" {
		t.Errorf("before the loss an export has %s, and after it %s", before, after)
	}
	cdds(t, "--data-dir", dir, "doctor")
}
