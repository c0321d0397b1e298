package docs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/schemas/sample"
)

// TestTheREADMERunsAsPastedInACleanClone is somebody who has just cloned the project and
// pastes every block of the README, from the top to the bottom: what runs until it is
// interrupted in one terminal, the rest in another. Only the web port is another one,
// since 8080 may be somebody's. Blocks that need what this machine does not have are only
// checked, and so is docker compose, which ops/proof/real tests.
func TestTheREADMERunsAsPastedInACleanClone(t *testing.T) {
	for _, tool := range []string{"bash", "make", "git", "openssl", "unzip", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := clone(t)
	web := freePort(t)
	env := append(home{dir: dir}.environment(t), "CDDS_WEB_LISTEN="+web)
	readme := pages(t)[0]

	var before, up, after string
	for _, b := range readme.blocks {
		if b.language != "sh" {
			continue
		}
		syntax := exec.Command("bash", "-n")
		syntax.Stdin = strings.NewReader(b.text)
		if out, err := syntax.CombinedOutput(); err != nil {
			t.Errorf("README.md:%d is not shell: %s", b.line, out)
		}
		text := fmt.Sprintf("echo '== README.md:%d'\n%s", b.line, strings.ReplaceAll(b.text, shown, web))
		switch {
		case strings.Contains(b.needs, "docker"), lacks(b.needs) != "":
			t.Logf("README.md:%d is only checked", b.line)
		case strings.HasPrefix(b.text, "make up"):
			up = b.text
		case up == "":
			before += text
		default:
			after += text
		}
	}
	if up == "" || !strings.Contains(after, "cdds decrypt") || !strings.Contains(after, "openssl cms -decrypt") {
		t.Fatalf("the README does not show how to start it and how to use it: %q, %q", up, after)
	}

	after += keepsNoToken

	paste(t, dir, env, before)
	stop := terminal(t, dir, env, up)
	paste(t, dir, env, after)
	paste(t, dir, env, after) // the page says that it can be repeated
	stop()

	acme := 0
	for e := range sample.Interactions(1, 20_000) {
		if e.TenantID == "acme" {
			acme++
		}
	}
	for _, where := range []string{"try/plain/interaction-*.jsonl", "try/opened/interaction-*.jsonl"} {
		if got := linesIn(t, filepath.Join(dir, where)); got != acme {
			t.Errorf("%s have %d interactions, and acme has %d", where, got, acme)
		}
	}
	if left := git(t, dir, "status", "--porcelain"); left != "" {
		t.Errorf("the README leaves in the clone what git does not ignore:\n%s", left)
	}

	// And from nothing again, under the same ids.
	for _, gone := range []string{".cdds", "try"} {
		check(t, os.RemoveAll(filepath.Join(dir, gone)))
	}
	stop = terminal(t, dir, env, up)
	paste(t, dir, env, after)
	stop()
}

// keepsNoToken ends blocks that are pasted into a terminal: what is pasted later, of the same
// page or another one, must not act with the token of an earlier block.
const keepsNoToken = `test -z "${CDDS_TOKEN-}${CDDS_SERVER-}" || { echo "a block leaves its token in the shell"; exit 1; }` + "\n"

// clone is a clone of what is to be committed: files that git tracks or would.
func clone(t *testing.T) string {
	t.Helper()
	if out, err := exec.Command("git", "-C", top, "rev-parse", "--git-dir").CombinedOutput(); err != nil {
		t.Skipf("this is not a git checkout: %s", out)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	check(t, err)
	for name := range strings.SplitSeq(git(t, top, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		info, err := os.Lstat(filepath.Join(top, name))
		if name == "" || os.IsNotExist(err) { // deleted, and not committed yet
			continue
		}
		check(t, err)
		content, err := os.ReadFile(filepath.Join(top, name))
		check(t, err)
		check(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), content, info.Mode().Perm()))
	}
	git(t, dir, "init", "-q")
	git(t, dir, "add", "-A")
	git(t, dir, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "a clone")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, problems.String())
	}
	return string(out)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// paste runs blocks in one shell, which ends at the first command that fails.
func paste(t *testing.T, dir string, env []string, blocks string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail\n"+blocks)
	cmd.Dir, cmd.Env = dir, env
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("pasted within %s:\n%s", time.Since(begun).Round(time.Second), out)
}

// terminal runs a block that goes on until it is interrupted, which stop does as Ctrl-C
// would. It returns once the block says where the web is.
func terminal(t *testing.T, dir string, env []string, block string) (stop func()) {
	t.Helper()
	cmd := exec.Command("bash", "-c", block)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	ended := make(chan struct{})
	stop = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Errorf("it does not end when it is interrupted: %s", problems.String())
		}
	}
	up := make(chan bool, 1)
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(strings.TrimSpace(lines.Text()), "web ") {
				up <- true
			}
		}
		_ = cmd.Wait()
		close(up)
	}()
	t.Cleanup(func() {
		select {
		case <-ended:
		default:
			stop()
		}
	})
	select {
	case is := <-up:
		if !is {
			t.Fatalf("%s ended: %s", strings.TrimSpace(block), problems.String())
		}
	case <-time.After(4 * time.Minute):
		t.Fatalf("%s does not say where the web is: %s", strings.TrimSpace(block), problems.String())
	}
	return stop
}

// linesIn counts the lines of the files that match.
func linesIn(t *testing.T, pattern string) (n int) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	check(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		check(t, err)
		n += bytes.Count(content, []byte("\n"))
	}
	return n
}
