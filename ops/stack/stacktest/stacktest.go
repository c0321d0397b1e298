// Package stacktest gives tests an embedded stack.
//
// The test binary is its own stack's children, so a package that uses it has
//
//	func TestMain(m *testing.M) { stacktest.Main(m) }
package stacktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack"
	"cdds/ops/stack/engine"
	"cdds/pipeline/tables"
)

// Main is a TestMain: it runs the children, or the tests and then closes the
// shared stack. It does not return.
func Main(m *testing.M) {
	if code, ok := stack.ChildMain(os.Args[1:]); ok {
		os.Exit(code)
	}
	isMain = true
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "closing the shared stack:", err)
		code = max(code, 1)
	}
	if err := stack.DropGiven(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "dropping the databases of the tests:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var isMain bool

// Start starts a stack for one test, in a directory of its own, and closes it
// when the test ends. The test is skipped if this machine cannot have the
// embedded ClickHouse.
func Start(t testing.TB) *stack.Stack {
	t.Helper()
	return StartIn(t, t.TempDir())
}

// StartIn is Start with the data in dir, which may hold that of an earlier
// stack.
func StartIn(t testing.TB, dir string) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), options(dir, slog.NewTextHandler(t.Output(), nil)))
	check(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("closing the stack:", err)
		}
	})
	return s
}

// Shared returns a stack that all tests of the binary share; Main closes it.
// Tests on it use topics, tables and buckets of their own.
func Shared(t testing.TB) *stack.Stack {
	t.Helper()
	if !isMain {
		t.Fatal("stacktest.Shared needs func TestMain(m *testing.M) { stacktest.Main(m) }")
	}
	s, err := shared.get()
	check(t, err)
	return s
}

// ClickHouse returns a connection to the shared stack's database, which ends with the
// test. change, if given, changes its options.
func ClickHouse(t testing.TB, change ...func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	e := Shared(t).Endpoints().ClickHouse
	options := &clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{e.Addr},
		Auth:     clickhouse.Auth{Database: e.Database, Username: e.Username, Password: e.Password},
		Settings: tables.Settings(),
	}
	for _, do := range change {
		do(options)
	}
	conn, err := clickhouse.Open(options)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, engine.ErrNoLibrary):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
}

// options make small stacks: several may run at once.
func options(dir string, h slog.Handler) stack.Options {
	return stack.Options{Dir: dir, EngineMemory: 2 << 30, Logger: slog.New(h)}
}

var shared onceStack

type onceStack struct {
	once sync.Once
	dir  string
	s    *stack.Stack
	err  error
}

func (o *onceStack) get() (*stack.Stack, error) {
	o.once.Do(func() {
		if o.dir, o.err = os.MkdirTemp("", "cdds-stacktest-"); o.err != nil {
			return
		}
		o.s, o.err = stack.Start(context.Background(), options(o.dir, slog.DiscardHandler))
	})
	return o.s, o.err
}

func (o *onceStack) close() error {
	var err error
	if o.s != nil {
		err = o.s.Close()
	}
	if o.dir != "" {
		err = errors.Join(err, os.RemoveAll(o.dir))
	}
	return err
}
