package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	pingEvery   = 10 * time.Millisecond
	stopTimeout = 15 * time.Second // of a child, before it is killed
	firstPause  = 100 * time.Millisecond
	longestWait = 5 * time.Second
	steadyAfter = 30 * time.Second // a child that ran so long has not crashed "again"
	maxCrashes  = 8                // in a row, before a child is given up
)

// child is one of the three processes and its supervisor.
type child struct {
	job    job
	ready  func(context.Context) error // asks a real client
	output *logFile
	log    *slog.Logger

	started bool          // there is a supervisor
	stop    chan struct{} // closed by close
	done    chan struct{} // closed when the supervisor has ended
	err     error         // why it ended; read after done

	mu       sync.Mutex
	proc     *os.Process   // nil if none is running
	exited   chan struct{} // closed when proc has been reaped
	healed   bool          // has answered since the stack was started
	killed   bool          // the exit to come was asked for
	overtime bool          // had to be killed at close
}

// start starts the process and whoever watches it.
func (c *child) start(s *Stack) {
	c.started = true
	go func() {
		// Pdeathsig is sent when the thread that forked ends. The thread is given back
		// afterwards: others may have forked on it before, and theirs would get the signal.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		if c.err = c.supervise(); c.err != nil {
			c.log.Error("giving up", "error", c.err)
			s.fail(c.err)
		}
	}()
}

// supervise runs the process again and again, until close or until it has
// crashed too often.
func (c *child) supervise() error {
	for crashes := 0; ; {
		began := time.Now()
		err := c.runOnce()
		select {
		case <-c.stop:
			return nil
		default:
		}
		c.mu.Lock()
		healed, killed := c.healed, c.killed
		c.killed = false
		c.mu.Unlock()
		crashes++
		if killed || time.Since(began) > steadyAfter {
			crashes = 1
		}
		if !healed || crashes > maxCrashes {
			return fmt.Errorf("the embedded %s has ended: %v; the end of its log:\n%s", c.job.Name, err, c.output.tail())
		}
		pause := min(firstPause<<(crashes-1), longestWait)
		c.log.Warn("ended, starting it again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-c.stop:
			return nil
		}
	}
}

// runOnce starts the process and returns when it has ended.
func (c *child) runOnce() error {
	cmd := exec.Command(executable(), childArg, c.job.Name)
	cmd.Args[0] = "cdds"
	cmd.Env = append(os.Environ(), childEnv+"=1", "TZ=UTC")
	cmd.SysProcAttr = childAttributes()
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.WaitDelay = time.Second // for output still in the pipe
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	c.mu.Lock()
	c.proc, c.exited = cmd.Process, exited
	c.mu.Unlock()
	c.log.Info("started", "pid", cmd.Process.Pid)

	told := make(chan struct{})
	go func() {
		defer close(told)
		c.instruct(stdin, exited)
	}()
	err = cmd.Wait()
	c.mu.Lock()
	c.proc = nil
	c.mu.Unlock()
	close(exited)
	<-told
	return err
}

// instruct sends the process its job, tells it to stop when close is called,
// and kills it if it does not.
func (c *child) instruct(stdin io.WriteCloser, exited <-chan struct{}) {
	if err := json.NewEncoder(stdin).Encode(c.job); err != nil { //nolint:gosec // down a pipe to the child, on no command line
		c.log.Warn("sending the child its job", "error", err) // it has ended
	}
	select {
	case <-exited:
	case <-c.stop:
	}
	stdin.Close()
	c.terminate() // a program the child has become does not watch its input
	select {
	case <-exited:
	case <-time.After(stopTimeout):
		c.mu.Lock()
		c.overtime = true
		c.mu.Unlock()
		_, _ = c.signal(false) // it may have ended just now
	}
}

// healthy waits until the child answers.
func (c *child) healthy(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := c.ready(try)
		cancel()
		if err == nil {
			c.mu.Lock()
			c.healed = true
			c.mu.Unlock()
			return nil
		}
		select {
		case <-c.done:
			return errors.Join(c.err, c.closed())
		case <-ctx.Done():
			return fmt.Errorf("the embedded %s does not answer: %w (%w); the end of its log:\n%s", c.job.Name, err, context.Cause(ctx), c.output.tail())
		case <-tick.C:
		}
	}
}

func (c *child) closed() error {
	if c.err == nil {
		return fmt.Errorf("the embedded %s has been closed", c.job.Name)
	}
	return nil
}

// running is the process id, or 0.
func (c *child) running() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return 0
	}
	return c.proc.Pid
}

// signal sends SIGKILL to the process, if there is one; wanted keeps its end
// from counting as a crash.
func (c *child) signal(wanted bool) (exited <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return nil, fmt.Errorf("%s is not running", c.job.Name)
	}
	c.killed = c.killed || wanted
	return c.exited, c.proc.Signal(syscall.SIGKILL)
}

// terminate asks the process to end, if there is one.
func (c *child) terminate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc != nil {
		_ = c.proc.Signal(syscall.SIGTERM)
	}
}

func (c *child) kill() error {
	exited, err := c.signal(true)
	if err != nil {
		return err
	}
	<-exited
	return nil
}

// close stops the process and its supervisor, and the log with it.
func (c *child) close() error {
	close(c.stop)
	if c.started {
		<-c.done
	}
	err := c.output.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.overtime {
		err = errors.Join(err, fmt.Errorf("%s did not stop within %s and was killed", c.job.Name, stopTimeout))
	}
	return err
}

// executable is this program, even if its file has been replaced or removed.
func executable() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
