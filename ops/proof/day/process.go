package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"cdds/schemas"
)

// replica is a process with all roles.
type replica struct {
	name         string
	metrics, web string // host:port
	cmd          *exec.Cmd
	log          *os.File
	ended        chan error
}

// freeAddr is an address of this machine that nothing listens at.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func newReplica(dir, name string) (*replica, error) {
	r := &replica{name: name}
	var err error
	if r.metrics, err = freeAddr(); err == nil {
		r.web, err = freeAddr()
	}
	if err != nil {
		return nil, err
	}
	r.log, err = os.OpenFile(filepath.Join(dir, "cdds-"+name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return r, err
}

// own has a process end with this one, and not with what a terminal sends to it.
func own() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// startWithin is how long a process may take until its roles run.
const startWithin = time.Minute

// start runs the process until it says that it is ready.
func (r *replica) start(ctx context.Context, binary, configFile string) error {
	cmd := exec.Command(binary, "--config", configFile, "up", "--json")
	cmd.Env = append(os.Environ(), "CDDS_CONFIG=", "CDDS_METRICS_LISTEN="+r.metrics, "CDDS_WEB_LISTEN="+r.web)
	cmd.Stderr = r.log
	cmd.SysProcAttr = own()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	r.cmd = cmd
	ready := make(chan struct{})
	ended := make(chan error, 1)
	r.ended = ended
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), `"ready":true`) {
				close(ready)
			}
		}
		ended <- cmd.Wait()
	}()
	select {
	case <-ready:
		return nil
	case err := <-r.ended:
		r.cmd = nil
		return fmt.Errorf("replica %s ended at its start: %w; see %s", r.name, err, r.log.Name())
	case <-time.After(startWithin):
		return fmt.Errorf("replica %s was not ready within %s; see %s", r.name, startWithin, r.log.Name())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the process in order.
func (r *replica) stop() error {
	if r.cmd == nil {
		return nil
	}
	cmd := r.cmd
	r.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-r.ended:
		if err != nil {
			return fmt.Errorf("replica %s ended with %w; see %s", r.name, err, r.log.Name())
		}
		return nil
	case <-time.After(startWithin):
		return errors.Join(fmt.Errorf("replica %s did not end within %s of SIGTERM", r.name, startWithin), cmd.Process.Kill())
	}
}

// cdds runs a command and returns what it prints; with --json, into out.
func (d *day) cdds(ctx context.Context, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, d.binary, append([]string{"--config", d.config, "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "CDDS_CONFIG=", "CDDS_SERVER=", "CDDS_TOKEN=")
	var said, complained strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &complained
	failed := cmd.Run()
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if out != nil && schemas.Read([]byte(lines[len(lines)-1]), out) != nil && failed == nil {
		failed = errors.New("it says " + said.String())
	}
	if failed != nil {
		return fmt.Errorf("cdds %s: %w: %s%s", strings.Join(args, " "), failed, said.String(), complained.String())
	}
	return nil
}

// doctor is what cdds doctor finds wrong, by check; empty if all is well.
func (d *day) doctor(ctx context.Context) (map[string]string, error) {
	var found struct {
		Healthy  bool `json:"healthy"`
		Findings []struct {
			Check   string `json:"check"`
			Detail  string `json:"detail"`
			Healthy bool   `json:"healthy"`
		} `json:"findings"`
	}
	err := d.cdds(ctx, &found, "doctor")
	if len(found.Findings) == 0 {
		return nil, errors.Join(errors.New("doctor finds nothing at all"), err)
	}
	wrong := map[string]string{}
	for _, f := range found.Findings {
		if !f.Healthy {
			wrong[f.Check] = f.Detail
		}
	}
	if (err == nil) != (len(wrong) == 0) {
		return wrong, fmt.Errorf("doctor finds %v and ends with %w", wrong, err)
	}
	return wrong, nil
}
