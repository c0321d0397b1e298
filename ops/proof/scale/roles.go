package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cdds/pipeline/smime"
)

// processes is how those of a proof are started.
type processes struct {
	binary, dir string
	env         []string
	// certificate is in certFile, and its key in keyFile: those of who receives the exports.
	certificate       string
	certFile, keyFile string
}

// newProcesses builds cdds, unless one is named, and makes a receiver, unless an earlier run did.
func newProcesses(ctx context.Context, binary, dir string) (p processes, err error) {
	p = processes{binary: binary, dir: dir, certFile: filepath.Join(dir, "receiver.pem"), keyFile: filepath.Join(dir, "receiver.key")}
	if p.binary == "" {
		p.binary = filepath.Join(dir, "cdds")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", p.binary, ".").CombinedOutput(); err != nil {
			return p, fmt.Errorf("build cdds: %w: %s", err, out)
		}
	}
	endpoints, err := os.ReadFile(filepath.Join(dir, "run", "cdds.env"))
	if err != nil {
		return p, err
	}
	p.env = append(os.Environ(), append(strings.Fields(string(endpoints)), "CDDS_CONFIG=")...)
	cert, err := os.ReadFile(p.certFile)
	if errors.Is(err, os.ErrNotExist) {
		var key []byte
		if cert, key, err = smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver"}); err == nil {
			err = errors.Join(os.WriteFile(p.keyFile, key, 0o600), os.WriteFile(p.certFile, cert, 0o600))
		}
	}
	p.certificate = string(cert)
	return p, err
}

// role is `cdds up` with one role.
type role struct {
	cmd *exec.Cmd
	// metrics is where it says what it does.
	metrics string
}

// start starts a role, which writes to a log of its name.
func (p processes) start(ctx context.Context, name string) (*role, error) {
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, p.binary, "up", "--json", "--log-level", "warn", "--roles", name)
	cmd.Env, cmd.Stderr = p.env, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if !strings.Contains(lines.Text(), `"ready":true`) {
			continue
		}
		_, metrics, _ := strings.Cut(lines.Text(), `"metrics":"`)
		metrics, _, _ = strings.Cut(metrics, `"`)
		return &role{cmd, metrics}, nil
	}
	return nil, fmt.Errorf("%s ended: %w; see %s", name, cmd.Wait(), log.Name())
}

func (p *role) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// peak is the largest resident size so far, in MiB.
func (p *role) peak() (mib int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(rest, &mib)
	return mib >> 10
}

// cpu is the seconds of CPU that the role has used.
func (p *role) cpu() float64 {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(stat), ") ") // the command's name may hold blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, kernel float64
	_, _ = fmt.Sscan(fields[11], &user)
	_, _ = fmt.Sscan(fields[12], &kernel)
	return (user + kernel) / 100 // USER_HZ of every Linux that Go runs on
}

// kill ends it as a crash does.
func (p *role) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// metric sums what a metric of the process says, over all its labels.
func (p *role) metric(ctx context.Context, name string) (sum float64, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		plain := lines.Text()[:max(strings.IndexAny(lines.Text(), "{ "), 0)]
		if plain != name {
			continue
		}
		one, err := strconv.ParseFloat(lines.Text()[strings.LastIndex(lines.Text(), " ")+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += one
	}
	return sum, nil
}

// resides runs a command and returns its largest resident size in MiB. What the kernel reports
// when a process has ended counts its parent's, too, from before it became another program.
func resides(cmd *exec.Cmd) (peak int64, err error) {
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		peak = max(peak, (&role{cmd: cmd}).peak())
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%w: %.2000s", err, output.String())
			}
			return peak, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
