package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/postgres"
	"cdds/schemas"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if stop != nil {
		stop()
	}
	os.Exit(code)
}

func TestACopyInPostgreSQLIsWhatAllRunsTogetherHold(t *testing.T) {
	mirrortest.Conform(t, mirrortest.Kind{
		Open: open,
		Meddle: func(t testing.TB, dir string) {
			execute(t, dir, "DELETE FROM interactions WHERE ctid = (SELECT min(ctid) FROM interactions)")
		},
	})
}

func TestTypedColumnsAreThereToBeAsked(t *testing.T) {
	dir := t.TempDir()
	line := `{"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z","text":"nul\u0000byte","attributes":{"k":"v\u0000"},"queue":"sales"}`
	apply(t, dir, line)
	for query, want := range map[string]string{
		"SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM interactions": "2026-01-01 00:00",
		"SELECT text FROM interactions":                      "nul\uFFFDbyte",
		"SELECT attributes->>'k' FROM interactions":          "v\uFFFD",
		"SELECT queue FROM interactions":                     "sales",
		"SELECT body FROM interactions":                      line,
		"SELECT coalesce(subject, 'none') FROM interactions": "none",
	} {
		if got := ask(t, dir, query); got != want {
			t.Errorf("%s is %q, want %q", query, got, want)
		}
	}
}

func TestATableOfAnEarlierVersionGetsTheColumnsItLacks(t *testing.T) {
	dir := t.TempDir()
	apply(t, dir, `{"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z","queue":"sales"}`)
	execute(t, dir, "ALTER TABLE interactions DROP COLUMN queue")
	d := open(t, dir)
	b, err := d.Begin(t.Context(), schemas.EntityInteraction, nil)
	check(t, err)
	p, err := d.Position(t.Context(), schemas.EntityInteraction)
	check(t, err)
	_, err = b.Commit(t.Context(), p)
	check(t, errors.Join(err, d.Close()))
	if got := ask(t, dir, "SELECT queue FROM interactions"); got != "sales" {
		t.Errorf("the column has %q", got)
	}
}

func TestNoErrorQuotesThePassword(t *testing.T) {
	for _, url := range []string{"postgres://u:secret@[::1", "postgres://u:secret@127.0.0.1:1/x?connect_timeout=1"} {
		if _, err := postgres.Open(t.Context(), url); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func apply(t testing.TB, dir, line string) {
	t.Helper()
	d := open(t, dir)
	c := mirror.Copy{Destination: d}
	row := mirrortest.Row{Key: schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since), ID: "i1"}, Line: []byte(line)}
	_, err := c.Apply(t.Context(), mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", Rows: []mirrortest.Row{row}}.Write(t).Open(t), schemas.TimeOf(mirrortest.Since))
	check(t, errors.Join(err, d.Close()))
}

// address is that of the copy which stands for a directory: a schema of its own.
func address(t testing.TB, dir string) string {
	t.Helper()
	socket, err := server()
	if err != nil {
		t.Skip(err)
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(dir))
	schema := fmt.Sprintf("s%x", sum.Sum64())
	url := fmt.Sprintf("host=%s user=%s dbname=postgres", socket, owner)
	conn, err := pgx.Connect(t.Context(), url)
	check(t, err)
	_, err = conn.Exec(t.Context(), "CREATE SCHEMA IF NOT EXISTS "+schema)
	check(t, errors.Join(err, conn.Close(t.Context())))
	return url + " search_path=" + schema
}

func open(t testing.TB, dir string) mirror.Destination {
	t.Helper()
	d, err := postgres.Open(t.Context(), address(t, dir))
	check(t, err)
	return d
}

func execute(t testing.TB, dir, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address(t, dir))
	check(t, err)
	_, err = conn.Exec(t.Context(), statement)
	check(t, errors.Join(err, conn.Close(t.Context())))
}

func ask(t testing.TB, dir, query string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address(t, dir))
	check(t, err)
	err = conn.QueryRow(t.Context(), query).Scan(&answer)
	check(t, errors.Join(err, conn.Close(t.Context())))
	return answer
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
		conn, err := pgx.Connect(context.Background(), fmt.Sprintf("host=%s user=%s dbname=postgres", dir, owner))
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

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
