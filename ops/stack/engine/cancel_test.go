package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestBrokenOffInsertLeavesNothing(t *testing.T) {
	conn := client(t)
	name := table(t, conn, "s String") // any bytes are a valid row
	cause := errors.New("the source broke")
	body := io.MultiReader(strings.NewReader(strings.Repeat("row\n", 100_000)+"half a r"), iotest.ErrReader(cause))
	if err := conn.InsertFormat(t.Context(), "TSV", "INSERT INTO "+name, body); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	context.AfterFunc(ctx, func() { pr.CloseWithError(context.Canceled) })
	go func() {
		_, _ = io.WriteString(pw, strings.Repeat("row\n", 100_000))
		cancel()
	}()
	if err := conn.InsertFormat(ctx, "TSV", "INSERT INTO "+name, pr); err == nil {
		t.Error("a cancelled insert succeeded")
	}
	idle(t, conn)
	if n := count(t, conn, name); n != 0 {
		t.Errorf("%d rows of broken inserts were kept", n)
	}
}

// idle waits until the engine runs nothing but the question.
func idle(t testing.TB, conn clickhouse.Conn) {
	t.Helper()
	for n := uint64(2); n != 1; {
		if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.processes").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCancelStopsTheEngine(t *testing.T) {
	conn := client(t)
	name := table(t, conn, "n UInt64")
	for _, query := range []string{
		"SELECT count() FROM numbers(1e13) WHERE sipHash64(number) = 1",
		"SELECT sleepEachRow(1) FROM numbers(100000) SETTINGS max_block_size = 1",
		"INSERT INTO " + name + " SELECT number FROM numbers(1e12) WHERE sipHash64(number) % 1000000 = 0",
		"OPTIMIZE TABLE " + name, // ends by itself; cancelling it must not hurt
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			rows, err := conn.Query(ctx, query)
			if err != nil {
				return
			}
			for rows.Next() {
			}
			_ = rows.Close() // cancelled
		}()
		if !strings.HasPrefix(query, "OPTIMIZE") {
			for n := uint64(0); n < 2; {
				if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.processes").Scan(&n); err != nil {
					t.Fatal(err)
				}
			}
		}
		cancel()
		began := time.Now()
		<-done
		idle(t, conn)
		t.Logf("idle %v after the cancel of %.40s", time.Since(began), query)
	}
}

// A cancelled query may leave nothing behind: libchdb has answered a later query
// with an empty success after a late KILL.
func TestQueriesSurviveTheCancelsOfOthers(t *testing.T) {
	conn := client(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 15 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*j%37)*time.Millisecond)
				var n, x uint64
				err := conn.QueryRow(ctx, "SELECT count() FROM numbers(1e12) WHERE sipHash64(number) = 1").Scan(&n)
				cancel()
				if err == nil {
					t.Error("an endless query has ended")
				}
				err = conn.QueryRow(t.Context(), "SELECT count(), {x:UInt64} FROM numbers(100000)", clickhouse.Named("x", fmt.Sprint(j))).Scan(&n, &x)
				if err != nil || n != 100_000 || x != uint64(j) {
					t.Errorf("after a cancel: %d, %d, %v", n, x, err)
				}
			}
		})
	}
	wg.Wait()
	idle(t, conn)
}
