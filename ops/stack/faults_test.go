package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cdds/ops/stack"
	"cdds/ops/stack/stacktest"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKilledChildComesBackWithItsDataPortAndKeys(t *testing.T) {
	s, d := stacktest.Start(t), data{"kept"}
	before, pids := s.Endpoints(), s.Pids()
	d.write(t, before)
	for _, name := range []string{stack.Kafka, stack.ClickHouse, stack.S3} {
		if err := s.Kill(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.check(t, before)
	for name, pid := range s.Pids() {
		if pid == pids[name] || pids[name] == 0 {
			t.Errorf("%s is still process %d", name, pid)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ended); err != nil {
		t.Error(err)
	}
}

func TestWhatWasAcknowledgedSurvivesKills(t *testing.T) {
	s := stacktest.Start(t)
	e := s.Endpoints()
	kc, cc := kafka(t, e), clickHouse(t, e)
	if _, err := kadm.NewClient(kc).CreateTopic(t.Context(), 1, 1, nil, "acked"); err != nil {
		t.Fatal(err)
	}
	if err := cc.Exec(t.Context(), "CREATE TABLE acked (n Int64) ENGINE = MergeTree ORDER BY n"); err != nil {
		t.Fatal(err)
	}
	for round := range int64(3) {
		acked, cut := make(chan int64), make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer close(acked)
			for n := round * 1_000_000; ctx.Err() == nil; n++ {
				// The client may repeat a record, or a row, whose answer was lost.
				if kc.ProduceSync(ctx, &kgo.Record{Topic: "acked", Value: fmt.Append(nil, n)}).FirstErr() == nil &&
					cc.Exec(ctx, "INSERT INTO acked VALUES (?)", n) == nil {
					acked <- n
				} else {
					<-cut // until the stack is healthy again
				}
			}
		}()
		var written []int64
		for n := range acked {
			if written = append(written, n); len(written) == 40 {
				go func() {
					defer close(cut)
					if err := errors.Join(s.Kill(stack.Kafka), s.Kill(stack.ClickHouse), s.Healthy(t.Context())); err != nil {
						t.Error(err)
					}
				}()
			}
			if len(written) == 80 {
				stop()
			}
		}
		stop()
		<-cut
		var rows uint64
		err := cc.QueryRow(t.Context(), "SELECT uniqExact(n) FROM acked WHERE has(?, n)", written).Scan(&rows)
		if err != nil || rows != uint64(len(written)) {
			t.Errorf("clickhouse has %d of %d acknowledged rows, %v", rows, len(written), err)
		}
		missing := map[string]bool{}
		for _, n := range written {
			missing[fmt.Sprint(n)] = true
		}
		reader := kafka(t, e, kgo.ConsumeTopics("acked"))
		for len(missing) > 0 && t.Context().Err() == nil {
			reader.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) { delete(missing, string(r.Value)) })
		}
	}
}

func TestChildrenDieWithAKilledParentAndTheDataStays(t *testing.T) {
	dir, d := t.TempDir(), data{"survivor"}
	closed(t, stacktest.StartIn(t, dir)) // skips where there is no engine

	parent := exec.Command(os.Args[0], "hold-a-stack-in", dir)
	var stderr bytes.Buffer
	parent.Stderr = &stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Process.Kill() }()
	var h held
	if err := json.NewDecoder(out).Decode(&h); err != nil {
		t.Fatal(err, stderr.String())
	}
	d.write(t, h.Endpoints)

	_, err = stack.Start(t.Context(), stack.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(parent.Process.Pid)) {
		t.Errorf("a second opener: got %v, want the directory and process %d", err, parent.Process.Pid)
	}

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()              // it was killed
	s := stacktest.StartIn(t, dir) // waits for their locks
	for name, pid := range h.Pids {
		if err := syscall.Kill(pid, 0); err == nil && !zombie(pid) {
			t.Errorf("%s, process %d, has outlived its parent", name, pid)
		}
	}
	d.check(t, s.Endpoints())
}

// zombie is a process that has ended and that init has not collected.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestStartSaysWhyAChildDoesNotComeUp(t *testing.T) {
	dir := t.TempDir()
	closed(t, stacktest.StartIn(t, dir))
	if err := os.RemoveAll(filepath.Join(dir, "s3")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "s3"), []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{Dir: dir})
	if err == nil {
		closed(t, s)
		t.Fatal("started")
	}
	if !strings.Contains(err.Error(), "embedded s3 has ended") || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
}

func TestStartRefusesATakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	closed(t, stacktest.Start(t))
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), S3Port: port})
	if err == nil {
		closed(t, s)
	}
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), fmt.Sprintf("port %d for s3", port)) {
		t.Errorf("got %v", err)
	}
}

func TestStartTellsWhatToDoWithoutALibrary(t *testing.T) {
	t.Setenv("CDDS_CHDB_LIBRARY", filepath.Join(t.TempDir(), "none.so"))
	_, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "none.so") {
		t.Errorf("got %v", err)
	}
}

// libchdb changes the mode of its standard input and reads it, whenever it inserts.
func TestNoChildReadsItsParentFromStandardInput(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd/0"); err != nil {
		t.Skip("what a process has open is not told here: ", err)
	}
	for name, pid := range stacktest.Shared(t).Pids() {
		if input, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid)); err != nil || input != os.DevNull {
			t.Errorf("standard input of %s is %s, %v", name, input, err)
		}
	}
}

// HTTP clients dial one connection more while another becomes free, and then keep it
// without a request.
func TestAStackStopsAtOnceWhileClientsHoldConnectionsTheyNeverUsed(t *testing.T) {
	s := stacktest.Start(t)
	e := s.Endpoints()
	for _, addr := range []string{e.Kafka[0], e.ClickHouse.Addr, e.S3.Endpoint} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	began := time.Now()
	closed(t, s)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("the stack took %s to stop", took.Round(time.Second))
	}
}
