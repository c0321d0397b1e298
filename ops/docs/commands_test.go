package docs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shown is where pages say that the web is, unless told otherwise.
const shown = "127.0.0.1:8080"

// TestEveryCommandShownRuns is a new user who follows each page from its first command to
// its last, in a directory of his own, on one system that runs. What belongs to a page
// goes on in one shell, so variables stay; steps in the console are done in Chromium when
// their turn comes. make is asked what it would do; `cdds up` and
// blocks that need what this machine does not have are only checked.
func TestEveryCommandShownRuns(t *testing.T) {
	for _, tool := range []string{"bash", "openssl", "unzip", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (`make system-tools` does it)", tool)
		}
	}
	home := newHome(t)
	for _, p := range pages(t) {
		name := filepath.Base(p.file)
		if elsewhere[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if len(p.steps) > 0 && chromium() == "" {
				t.Skip("no Chromium to follow its steps in the console with: `ops/tools/install chromium` installs it where apt can")
			}
			script, ran, checked := home.script(t, p)
			if ran+checked == 0 {
				t.Skip("it shows no command")
			}
			t.Logf("%d blocks run, %d checked, %d steps in the console", ran, checked, len(p.steps))
			home.follow(t, p, script)
		})
	}
}

// follow runs a page's script in a directory of its own, and does in the console what is to
// be done there, each step when the shell comes to it.
func (h home) follow(t *testing.T, p page, script string) {
	t.Helper()
	dir := h.room(t, filepath.Base(p.file))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = dir, h.environment(t)
	printed, problems := filepath.Join(t.TempDir(), "printed"), filepath.Join(t.TempDir(), "problems")
	for file, to := range map[string]*io.Writer{printed: &cmd.Stdout, problems: &cmd.Stderr} {
		f, err := os.Create(file)
		check(t, err)
		defer f.Close()
		*to = f
	}
	output := func(file string) string {
		content, err := os.ReadFile(file)
		check(t, err)
		return string(content)
	}
	meeting := meet(t)
	cmd.ExtraFiles = meeting.shell
	check(t, cmd.Start())
	var v *visitor
	if len(p.steps) > 0 {
		v = h.visitor(t, dir, func() string { return output(printed) })
	}
	meeting.follow(t, p, v)
	err := cmd.Wait()
	if strings.HasPrefix(p.file, "tutorials/") {
		for _, left := range strays(t, dir) {
			t.Errorf("%s leaves %s in the clone, outside of try, which git ignores", p.file, left)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, output(printed), output(problems))
	} else {
		t.Logf("%s\n%s", output(printed), output(problems))
	}
}

// strays are the files that commands left beside those of the room, and not in its try.
func strays(t *testing.T, room string) (all []string) {
	t.Helper()
	files, err := os.ReadDir(room)
	check(t, err)
	for _, f := range files {
		if f.Type()&os.ModeSymlink == 0 && f.Name() != "try" {
			all = append(all, f.Name())
		}
	}
	return all
}

// script is the page's blocks, one after the other, with the steps in the console between them.
func (h home) script(t *testing.T, p page) (script string, ran, checked int) {
	t.Helper()
	all, next := "set -euo pipefail\n"+consoleStep, 0
	steps := func(until int) {
		for ; next < len(p.steps) && p.steps[next].line < until; next++ {
			all += fmt.Sprintf("console %d\n", next)
		}
	}
	for _, b := range p.blocks {
		steps(b.line)
		if b.language != "sh" {
			continue
		}
		syntax := exec.Command("bash", "-n")
		syntax.Stdin = strings.NewReader(b.text)
		if out, err := syntax.CombinedOutput(); err != nil {
			t.Errorf("%s:%d is no shell: %s", p.file, b.line, out)
			continue
		}
		if missing := lacks(b.needs); missing != "" {
			t.Logf("%s:%d needs %s, which is not here", p.file, b.line, missing)
			checked++
			continue
		}
		all += fmt.Sprintf("echo '== %s:%d'\n%s", filepath.Base(p.file), b.line, strings.ReplaceAll(b.text, shown, h.web))
		ran++
	}
	steps(math.MaxInt)
	if strings.HasPrefix(p.file, "tutorials/") {
		all += keepsNoToken
	}
	return all, ran, checked
}

// lacks is the first of the programs that is not installed.
func lacks(needs string) string {
	for _, program := range strings.FieldsFunc(needs, func(r rune) bool { return r == ',' }) {
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
		if program == "docker" && exec.Command("docker", "info").Run() != nil {
			return "docker's daemon"
		}
	}
	return ""
}

// home has a system that runs, and the programs that pages use.
type home struct{ dir, web, password string }

func newHome(t *testing.T) home {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	check(t, err)
	h := home{dir: dir}
	check(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o700))
	real := filepath.Join(dir, "cdds")
	build := exec.Command("go", "build", "-trimpath", "-o", real, "cdds")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	project, err := filepath.Abs(top)
	check(t, err)
	h.program(t, "cdds", `if [ "${1:-}" = up ]; then set -- "$@" --help; exec >/dev/null; fi; exec "`+real+`" "$@"`)
	h.program(t, "make", `exec /usr/bin/env -u MAKEFLAGS "`+lookPath("make")+`" -C "`+project+`" -n "$@" >/dev/null`)

	up := exec.Command(real, "up", "--log-level", "warn")
	up.Dir, up.Env = dir, append(h.environment(t), "CDDS_WEB_LISTEN=127.0.0.1:0")
	up.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var problems bytes.Buffer
	up.Stderr = &problems
	told, err := up.StdoutPipe()
	check(t, err)
	check(t, up.Start())
	t.Cleanup(func() {
		_ = up.Process.Signal(syscall.SIGTERM)
		_ = up.Wait()
		if t.Failed() {
			t.Logf("cdds up said: %s", problems.String())
		}
	})
	web, password := make(chan string, 1), make(chan string, 1)
	go func() {
		defer close(web)
		defer close(password)
		for lines := bufio.NewScanner(told); lines.Scan(); {
			line := strings.TrimSpace(lines.Text())
			if at, ok := strings.CutPrefix(line, "web "); ok {
				web <- strings.TrimPrefix(strings.TrimSpace(at), "http://")
			} else if given, ok := strings.CutPrefix(line, "Sign in as admin with "); ok {
				password <- strings.Fields(given)[0]
			}
		}
	}()
	for _, said := range []struct {
		to   *string
		from chan string
	}{{&h.web, web}, {&h.password, password}} {
		select {
		case *said.to = <-said.from:
		case <-time.After(2 * time.Minute):
		}
	}
	if h.web == "" || h.password == "" {
		t.Fatalf("cdds is not up: %s", problems.String())
	}
	return h
}

// room is a page's directory. It has what a reader who is in the project's has.
func (h home) room(t *testing.T, name string) string {
	t.Helper()
	project, err := filepath.Abs(top)
	check(t, err)
	dir := filepath.Join(h.dir, "rooms", name)
	check(t, os.MkdirAll(dir, 0o700))
	for _, from := range []string{h.dir + "/.cdds", h.dir + "/bin", project + "/ops", project + "/schemas", project + "/docker-compose.yml"} {
		check(t, os.Symlink(from, filepath.Join(dir, filepath.Base(from))))
	}
	return dir
}

func (h home) program(t *testing.T, name, does string) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(h.dir, "bin", name), []byte("#!/bin/sh\n"+does+"\n"), 0o700))
}

// environment is this one's, but for what would configure CDDS.
func (h home) environment(t *testing.T) (env []string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "CDDS_") || strings.HasPrefix(kv, "CDDS_CHDB_") {
			env = append(env, kv)
		}
	}
	return append(env, "XDG_CONFIG_HOME="+t.TempDir(), "PATH="+filepath.Join(h.dir, "bin")+":"+os.Getenv("PATH"))
}

func lookPath(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return "/bin/true"
	}
	return path
}
