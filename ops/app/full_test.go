package app_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"cdds/ops/stack"
	"cdds/schemas"
)

// disk mounts a small file system of its own at dir.
func disk(t *testing.T, dir, size string) {
	t.Helper()
	check(t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk that fills up needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill takes all the space that is left on the disk at dir.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	check(t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			check(t, err)
		}
	}
	return func() { check(t, os.Remove(name)) }
}

func TestWhatComesWhileADiskIsFullIsDoneWhenThereIsSpace(t *testing.T) {
	t.Parallel()
	if os.Getenv(stack.ClickHouseEnv) != "" {
		t.Skip("ClickHouse is somebody else's, with disks of its own")
	}
	dir := t.TempDir()
	for _, service := range []string{stack.ClickHouse, stack.S3} {
		disk(t, filepath.Join(dir, service), "512m")
	}
	w := newWorldIn(t, dir)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 100)
	w.publish(w.request("acme", "before"))
	w.await("acme", "before")
	rows := 100
	for _, service := range []string{stack.ClickHouse, stack.S3} {
		free := fill(t, filepath.Join(dir, service))
		var came []schemas.Event
		for range 2_000 {
			e := interaction("acme", rows)
			e.Text = rand.Text()
			came = append(came, e)
			rows++
		}
		w.publish(came...)
		w.publish(w.request("acme", "during-"+service))
		if service == stack.ClickHouse {
			w.awaitRetries(schemas.IngestGroup(schemas.TopicInteractions))
		} else {
			w.awaitRetries(schemas.GroupExport)
		}
		free()
		if e := w.await("acme", "during-"+service); e.State != schemas.Completed || len(w.open(e)) != rows {
			t.Errorf("there is space for %s again: the export is %s with %d of %d rows, %+v", service, e.State, e.Done.Rows, rows, e.Failure)
		}
	}
}

// awaitRetries waits until a consumer group has retried something, by its counter on /metrics.
func (w *world) awaitRetries(group string) {
	w.t.Helper()
	risen := regexp.MustCompile(`(?m)^cdds_consumer_retries_total\{group="` + group + `"\} [1-9]`)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, page := w.get("/metrics"); risen.MatchString(page) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("group %s retries nothing", group)
		}
	}
}
