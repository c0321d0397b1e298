package cli_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRolesThatStartBeforeTheirServicesWaitForThem runs the roles in a process of their
// own, at addresses where nothing listens yet.
func TestRolesThatStartBeforeTheirServicesWaitForThem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	stack := begin(t, nil, "up", "--roles", "none", "--data-dir", dir, "--json")
	stack.says(t, stack.out, `"ready":true`)
	env, gates := gated(t, environmentOf(t, dir))

	history := []string{"up", "--roles", "history", "--json"}
	roles := begin(t, env, history...)
	roles.says(t, roles.err, "waiting for Kafka at 127.0.0.1", "waiting for ClickHouse at 127.0.0.1", "waiting for S3 at 127.0.0.1")

	// A signal ends the wait at once, and the bound ends it with all that is missing.
	given := begin(t, env, history...)
	given.says(t, given.err, "waiting for")
	signalled := time.Now()
	if code := given.end(t, syscall.SIGTERM); code != 130 || time.Since(signalled) > 3*time.Second {
		t.Errorf("SIGTERM ended the wait with %d after %s", code, time.Since(signalled))
	}
	bound := begin(t, env, append(history, "--startup-timeout", "1s")...)
	bound.says(t, bound.err, "cdds: ", "was not ready within 1s")
	if code := bound.end(t, 0); code != 5 {
		t.Errorf("the bound ended the wait with %d", code)
	}

	for _, g := range gates {
		g.open(t)
	}
	roles.says(t, roles.out, `"ready":true`)
	if code := roles.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the roles ended with %d", code)
	}

	// They wait for what `cdds provision` makes, too, and make nothing.
	elsewhere := append(slices.Clone(env), "CDDS_S3_BUCKET=later")
	early := begin(t, elsewhere, history...)
	early.says(t, early.err, "waiting for S3 at 127.0.0.1", "bucket later does not exist; `cdds provision` creates it")
	step := begin(t, elsewhere, "provision", "--json")
	step.says(t, step.out, `"provisioned":true`)
	if code := step.end(t, 0); code != 0 {
		t.Errorf("provisioning ended with %d", code)
	}
	early.says(t, early.out, `"ready":true`)
	if code := early.end(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the roles ended with %d", code)
	}

	// Waiting mends no wrong password.
	for _, c := range [][2]string{{"CDDS_CLICKHOUSE_PASSWORD=wrong", "refuses: Authentication failed"}, {"CDDS_S3_SECRET_KEY=wrong", "refuses: Access Denied"}} {
		wrong := begin(t, append(env, c[0]), history...)
		wrong.says(t, wrong.err, c[1])
		if code := wrong.end(t, 0); code != 2 {
			t.Errorf("%s: exit code %d", c[0], code)
		}
	}
}

// running is a cdds whose lines can be awaited.
type running struct {
	cmd      *exec.Cmd
	out, err <-chan string
}

func begin(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	cmd := command(t, args...)
	cmd.Env = append(cmd.Env, env...)
	r := &running{cmd: cmd, out: linesOf(t, cmd.StdoutPipe), err: linesOf(t, cmd.StderrPipe)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killTree(cmd.Process.Pid) })
	return r
}

func linesOf(t *testing.T, pipe func() (io.ReadCloser, error)) <-chan string {
	t.Helper()
	r, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 10_000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

// says waits until lines have all the texts, in any order.
func (r *running) says(t *testing.T, lines <-chan string, texts ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, text := range texts {
		missing[text] = true
	}
	var said []string
	for patience := time.After(time.Minute); len(missing) > 0; {
		select {
		case line, open := <-lines:
			if !open {
				if strings.Contains(strings.Join(said, ""), "CDDS_CHDB_LIBRARY") {
					t.Skip("the embedded ClickHouse cannot be had here")
				}
				t.Fatalf("it ended without %v: %s", missing, strings.Join(said, "\n"))
			}
			said = append(said, line)
			for text := range missing {
				if strings.Contains(line, text) {
					delete(missing, text)
				}
			}
		case <-patience:
			t.Fatalf("it did not say %v: %s", missing, strings.Join(said, "\n"))
		}
	}
}

// end signals the process, unless the signal is 0, and returns its exit code.
func (r *running) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if signal != 0 {
		if err := r.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	for _, lines := range []<-chan string{r.out, r.err} {
		for range lines { // Wait closes the pipes
		}
	}
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// gate is an address where a service seems to be down until it is opened.
type gate struct{ at, to string }

// open lets everybody through to the service from now on.
func (g gate) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { defer out.Close(); _, _ = io.Copy(out, in) }()
			go func() { defer in.Close(); _, _ = io.Copy(in, out) }()
		}
	}()
}

// gated puts gates before the three services of an environment.
func gated(t *testing.T, env []string) (through []string, gates []gate) {
	t.Helper()
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if name == "CDDS_KAFKA_BROKERS" || name == "CDDS_CLICKHOUSE_ADDR" || name == "CDDS_S3_ENDPOINT" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() // with the others, so that each port is used once
			g := gate{l.Addr().String(), value}
			gates, kv = append(gates, g), name+"="+g.at
		}
		through = append(through, kv)
	}
	return through, gates
}

// environmentOf is how to reach the system that runs on a data directory.
func environmentOf(t *testing.T, dir string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "run", "cdds.env"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}
