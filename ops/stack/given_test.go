package stack_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/ops/stack"
	"cdds/ops/stack/stacktest"
)

func sqlOf(t *testing.T, e stack.ClickHouseEndpoint) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{e.Addr},
		Auth: clickhouse.Auth{Database: e.Database, Username: e.Username, Password: e.Password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestStacksUseTheClickHouseWhoseAddressIsGivenAndADatabaseEach(t *testing.T) {
	server := stacktest.Shared(t).Endpoints().ClickHouse
	t.Setenv(stack.ClickHouseEnv, fmt.Sprintf("http://%s:%s@%s", server.Username, server.Password, server.Addr))
	dir := t.TempDir()
	one, other := stacktest.StartIn(t, dir), stacktest.Start(t)
	for _, s := range []*stack.Stack{one, other} {
		if err := sqlOf(t, s.Endpoints().ClickHouse).Exec(t.Context(), "CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT 7 AS n"); err != nil {
			t.Fatal(err)
		}
	}
	count := func(conn driver.Conn, sql string) (n uint64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	database := one.Endpoints().ClickHouse.Database
	if n := count(sqlOf(t, server), "SELECT count() FROM "+database+".t"); n != 1 {
		t.Errorf("the server holds %d rows of the stack", n)
	}
	if err := one.Kill(stack.ClickHouse); err != nil {
		t.Fatal(err)
	}
	if err := one.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed(t, one)
	one = stacktest.StartIn(t, dir)
	if n := count(sqlOf(t, one.Endpoints().ClickHouse), "SELECT count() FROM t"); n != 1 || one.Endpoints().ClickHouse.Database != database {
		t.Errorf("after a restart the stack holds %d rows", n)
	}
	closed(t, one)
	closed(t, other)
	if err := stack.DropGiven(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := count(sqlOf(t, server), "SELECT count() FROM system.databases WHERE name = '"+database+"'"); n != 0 {
		t.Error("the database is left behind")
	}
}
