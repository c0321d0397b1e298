// Package postgrestest runs a PostgreSQL for tests.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Main runs the tests of a package and ends the server that they used.
func Main(m *testing.M) int {
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	return m.Run()
}

// Address is the URL of the copy which stands for a directory: a schema of its own. The test is
// skipped where PostgreSQL is not installed.
func Address(t testing.TB, dir string) string {
	t.Helper()
	socket, err := server()
	if err != nil {
		t.Skip(err)
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(dir))
	schema := fmt.Sprintf("s%x", sum.Sum64())
	conn, err := pgx.Connect(t.Context(), address(socket, ""))
	if err == nil {
		_, err = conn.Exec(t.Context(), "CREATE SCHEMA IF NOT EXISTS "+schema)
		err = errors.Join(err, conn.Close(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return address(socket, schema)
}

func address(socket, schema string) string {
	q := url.Values{"host": {socket}, "user": {owner}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return "postgres:///postgres?" + q.Encode()
}

const owner = "cdds"

var stop func()

// server starts a PostgreSQL of its own, once, and returns the directory of its socket.
var server = sync.OnceValues(func() (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return "", err
	}
	as, err := credential(dir)
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", owner, "-A", "trust", "-E", "UTF8", "--no-sync")
	init.SysProcAttr, init.Dir = as, dir
	if out, err := init.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	run := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	run.SysProcAttr, run.Dir = as, dir
	if err := run.Start(); err != nil {
		return "", err
	}
	stop = func() {
		_ = run.Process.Signal(syscall.SIGINT)
		_ = run.Wait()
		_ = os.RemoveAll(dir)
	}
	for range 100 {
		conn, err := pgx.Connect(context.Background(), address(dir, ""))
		if err == nil {
			return dir, conn.Close(context.Background())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", errors.New("PostgreSQL does not come up")
})

// binaries is where PostgreSQL is.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	for _, f := range found {
		if version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(f)))); version >= 15 {
			return filepath.Dir(f), nil
		}
	}
	if f, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(f), nil
	}
	return "", errors.New("PostgreSQL 15 or later is not installed: this test needs the real one")
}

// credential is somebody else than root, as whom PostgreSQL does not run.
func credential(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is nobody else")
}
