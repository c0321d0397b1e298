package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a role in a process of its own, started again whenever it ends, as an
// orchestrator would.
type process struct {
	name, role string
	binary     string
	env        []string
	log        *os.File
	report     *report

	mu     sync.Mutex
	cmd    *exec.Cmd     // nil while none runs
	exited chan struct{} // closed when cmd has ended
	asked  bool          // the end to come was asked for
	ready  bool          // it said so
}

// restartPause is how long an orchestrator waits before it starts a role again.
const restartPause = 300 * time.Millisecond

// run starts the role again and again until ctx ends, and stops it then.
func (p *process) run(ctx context.Context) {
	runtime.LockOSThread() // Pdeathsig is sent when the thread that started it ends
	for ctx.Err() == nil {
		if err := p.once(ctx); err != nil {
			p.report.violated("a role runs", "%s: %v", p.name, err)
			return
		}
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
		}
	}
}

// once runs one process to its end.
func (p *process) once(ctx context.Context) error {
	cmd := exec.Command(p.binary, "up", "--roles", p.role, "--json", "--log-level", "info")
	cmd.Env = p.env
	cmd.Stderr = p.log
	// A harness that is killed leaves nothing behind. What a terminal or its end sends to
	// the harness is not a fault of the role's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	exited := make(chan struct{})
	p.mu.Lock()
	if err := cmd.Start(); err != nil {
		p.mu.Unlock()
		return err
	}
	p.cmd, p.exited, p.asked, p.ready = cmd, exited, false, false
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = p.end(syscall.SIGTERM) })
	defer stop()

	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), `"ready":true`) {
			p.mu.Lock()
			p.ready = true
			p.mu.Unlock()
		}
	}
	err = cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = nil
	close(exited)
	// One that cannot start while a service is down may give up and be started
	// again; one that runs must live through it.
	if p.ready && !p.asked && ctx.Err() == nil {
		p.report.violated("a role that runs never ends by itself", "%s ended: %v; see its log", p.name, err)
	}
	return nil
}

// signal sends sig to the process; false if none runs. lethal says that its end is
// to be expected.
func (p *process) signal(sig syscall.Signal, lethal bool) (exited <-chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil, false
	}
	p.report.peak("MiB resident at most: "+p.role, residentPeak(p.cmd.Process.Pid)>>10)
	p.asked = p.asked || lethal
	return p.exited, p.cmd.Process.Signal(sig) == nil
}

// stopWithin is how long a role may take to end in order: it drains for 30 s.
const stopWithin = 45 * time.Second

// end ends the process and waits for it. It fails if nothing ran; one that does not
// obey SIGTERM is killed, and that is a violation.
func (p *process) end(sig syscall.Signal) error {
	exited, ok := p.signal(sig, true)
	if !ok {
		return fmt.Errorf("%s does not run", p.name)
	}
	select {
	case <-exited:
	case <-time.After(stopWithin):
		p.report.violated("a role ends in order", "%s did not end within %s of %s", p.name, stopWithin, sig)
		_, _ = p.signal(syscall.SIGKILL, true)
		<-exited
	}
	return nil
}

// residentPeak is VmHWM of proc(5) in KiB, 0 if it cannot be read.
func residentPeak(pid int) (kib int64) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(content), "VmHWM:")
	_, _ = fmt.Sscan(after, &kib)
	return kib
}
