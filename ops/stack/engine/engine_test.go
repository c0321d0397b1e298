package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cdds/ops/stack/stacktest"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// open returns an unmodified client of the shared stack's ClickHouse.
func open(t testing.TB, settings clickhouse.Settings, compression clickhouse.CompressionMethod) clickhouse.Conn {
	t.Helper()
	e := stacktest.Shared(t).Endpoints().ClickHouse
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{e.Addr},
		Auth:        clickhouse.Auth{Database: e.Database, Username: e.Username, Password: e.Password},
		Settings:    settings,
		Compression: &clickhouse.Compression{Method: compression, Level: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func client(t testing.TB) clickhouse.Conn { return open(t, nil, clickhouse.CompressionNone) }

// table creates a table of its own for a test.
func table(t testing.TB, conn clickhouse.Conn, columns string) string {
	t.Helper()
	name := "t_" + strings.ToLower(strings.NewReplacer("/", "_", "#", "_").Replace(t.Name()))
	if err := conn.Exec(t.Context(), "CREATE OR REPLACE TABLE "+name+" ("+columns+") ENGINE = MergeTree ORDER BY tuple()"); err != nil {
		t.Fatal(err)
	}
	return name
}

func count(t testing.TB, conn clickhouse.Conn, table string) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func wantCode(t testing.TB, err error, code int32) {
	t.Helper()
	var ex *clickhouse.Exception
	if !errors.As(err, &ex) || ex.Code != code {
		t.Errorf("got %v, want an exception with code %d", err, code)
	}
}

// get is a plain HTTP request.
func request(t testing.TB, method, query, body string, change func(*http.Request)) (int, http.Header, string) {
	t.Helper()
	e := stacktest.Shared(t).Endpoints().ClickHouse
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.Addr+"/"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(e.Username, e.Password)
	if change != nil {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

func TestClientPingsAndLearnsTheVersion(t *testing.T) {
	conn := client(t)
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := conn.ServerVersion()
	if err != nil || v.Version.Major < 26 || v.Timezone.String() != "UTC" {
		t.Errorf("version %v, error %v", v, err)
	}
	status, _, body := request(t, "GET", "ping", "", func(r *http.Request) { r.Header.Del("Authorization") })
	if status != 200 || body != "Ok.\n" {
		t.Errorf("/ping: %d %q", status, body)
	}
}

func TestQueryFormatStreamsWithBackPressure(t *testing.T) {
	conn := client(t)
	// 60 GB of output: it is endless unless it is bounded by its reader.
	rows, err := conn.QueryFormat(t.Context(), "JSONEachRow", "SELECT number AS n, repeat('x', 600) AS s FROM numbers(100000000)")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1<<20)
	if _, err := io.ReadFull(rows, first); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(first, []byte(`{"n":0,"s":"xxx`)) {
		t.Errorf("got %.40s", first)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	rows, err = conn.QueryFormat(t.Context(), "TSVRaw", "SELECT 'a\tb' UNION ALL SELECT 'c\\d'")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(rows)
	if err := errors.Join(err, rows.Close()); err != nil || len(text) != len("a\tb\nc\\d\n") {
		t.Errorf("got %q, %v", text, err)
	}
	status, header, body := request(t, "POST", "?default_format=JSONEachRow", "SELECT 'x\ty' AS s FORMAT TSVRaw", nil)
	if status != 200 || body != "x\ty\n" || header.Get("X-ClickHouse-Format") != "TSVRaw" {
		t.Errorf("FORMAT in the text: %d %q %v", status, body, header)
	}
}

func TestErrorsAreExceptionsOfClickHouse(t *testing.T) {
	conn := client(t)
	ctx := t.Context()
	with := func(name string, value any) context.Context {
		return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{name: value}))
	}
	wantCode(t, conn.Exec(ctx, "SELECT * FROM no_such_table"), 60)
	wantCode(t, conn.Exec(ctx, "SELEC 1"), 62)
	wantCode(t, conn.Exec(ctx, "SELECT no_such_column"), 47)
	wantCode(t, conn.Exec(ctx, "SELECT 1; SELECT 2"), 62)
	wantCode(t, conn.Exec(ctx, "INSERT INTO no_such_table VALUES (1)"), 60)
	wantCode(t, conn.InsertFormat(ctx, "TSV", "INSERT INTO no_such_table", strings.NewReader(strings.Repeat("1\n", 8<<20))), 60)
	wantCode(t, conn.Exec(with("no_such_setting", 1), "SELECT 1"), 115)
	wantCode(t, conn.Exec(with("max_memory_usage", 20_000_000), "SELECT groupArray(number) FROM numbers(100000000)"), 241)
	wantCode(t, conn.Exec(with("max_execution_time", 1), "SELECT count() FROM numbers(1e13) WHERE sipHash64(number) = 1"), 159)
	wantCode(t, conn.Exec(with("a='1', readonly", 1), "SELECT 1"), 36)

	status, header, body := request(t, "POST", "", "SELECT * FROM no_such_table", nil)
	if status != 404 || header.Get("X-ClickHouse-Exception-Code") != "60" || !strings.Contains(body, "(UNKNOWN_TABLE)") {
		t.Errorf("got %d %v %s", status, header, body)
	}
}

func TestErrorInTheMiddleOfTheRowsIsAnException(t *testing.T) {
	for _, compression := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionGZIP} {
		t.Run(compression.String(), func(t *testing.T) {
			conn := open(t, clickhouse.Settings{"enable_http_compression": 1, "max_block_size": 1000, "max_threads": 1}, compression)
			const query = "SELECT number, throwIf(number = 50000, 'half way') FROM numbers(100000)"
			rows, err := conn.Query(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				n++
			}
			wantCode(t, rows.Err(), 395)
			if n == 0 {
				t.Error("no row before the error")
			}
			text, err := conn.QueryFormat(t.Context(), "JSONEachRow", query)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, text)
			wantCode(t, err, 395)
			text.Close()
		})
	}
}

func TestWaitEndOfQueryTurnsALateErrorIntoAStatus(t *testing.T) {
	conn := open(t, clickhouse.Settings{"wait_end_of_query": 1, "max_block_size": 1000}, clickhouse.CompressionNone)
	_, err := conn.QueryFormat(t.Context(), "JSONEachRow", "SELECT number, throwIf(number = 50000, 'half way') FROM numbers(100000)")
	wantCode(t, err, 395)
}

func TestParametersKeepEveryByte(t *testing.T) {
	conn := client(t)
	want := "it's \\ a \"tab\t\", a line\n\nDROP TABLE x, Zoë, {a:String}"
	var got string
	if err := conn.QueryRow(t.Context(), "SELECT {s:String}", clickhouse.Named("s", want)).Scan(&got); err != nil || got != want {
		t.Errorf("named: %q, %v", got, err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT ?", want).Scan(&got); err != nil || got != want {
		t.Errorf("positional: %q, %v", got, err)
	}
	at, list := time.UnixMilli(1_700_000_000_123).UTC(), []string{"a", "b'c"}
	var gotAt time.Time
	var gotList []string
	params := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{"l": "['a','b\\'c']"}))
	if err := conn.QueryRow(params, "SELECT {l:Array(String)}").Scan(&gotList); err != nil || !reflect.DeepEqual(gotList, list) {
		t.Errorf("array: %q, %v", gotList, err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT toDateTime64(?, 3, 'UTC')", at.Format("2006-01-02 15:04:05.000")).Scan(&gotAt); err != nil || !gotAt.Equal(at) {
		t.Errorf("time: %v, %v", gotAt, err)
	}
}

func TestEmptyResultKeepsItsColumns(t *testing.T) {
	rows, err := client(t).Query(t.Context(), "SELECT number AS n, 'x' AS s FROM numbers(10) WHERE number > {min:UInt64} ORDER BY n;", clickhouse.Named("min", 100))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() || !reflect.DeepEqual(rows.Columns(), []string{"n", "s"}) {
		t.Errorf("columns %q", rows.Columns())
	}
}

func TestStatementsThatCannotStreamAreRun(t *testing.T) {
	conn := client(t)
	name := table(t, conn, "n UInt64")
	for query, want := range map[string]int{
		"SHOW TABLES LIKE '" + name + "'":                                  1,
		"DESCRIBE TABLE " + name:                                           1,
		"EXPLAIN SELECT n FROM " + name:                                    2,
		"SELECT * FROM (SELECT 1 UNION ALL SELECT 2)":                      2,
		"WITH 3 AS x SELECT x":                                             1,
		"(SELECT 1) UNION ALL (SELECT 2)":                                  2,
		"EXISTS TABLE " + name:                                             1,
		"WITH 1 AS x INSERT INTO " + name + " SELECT x":                    0,
		"INSERT INTO " + name + " WITH 1 AS x SELECT x":                    0,
		"INSERT INTO " + name + " (n) SELECT n + 1 FROM " + name + " -- c": 0,
	} {
		rows, err := conn.Query(t.Context(), query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || n < want {
			t.Errorf("%s: %d rows, %v", query, n, err)
		}
	}
	if n := count(t, conn, name); n < 2 {
		t.Errorf("%d rows inserted", n)
	}
}

func TestSettingsOfARequestEndWithIt(t *testing.T) {
	conn := client(t)
	var got uint64
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_threads": 1, "log_comment": "mine"}))
	if err := conn.QueryRow(ctx, "SELECT getSetting('max_threads')::UInt64").Scan(&got); err != nil || got != 1 {
		t.Errorf("within: %d, %v", got, err)
	}
	var changed bool
	if err := conn.QueryRow(t.Context(), "SELECT changed FROM system.settings WHERE name = 'max_threads'").Scan(&changed); err != nil || changed {
		t.Errorf("afterwards changed = %v, %v", changed, err)
	}
	if status, _, body := request(t, "GET", "?query=CREATE+TABLE+no+(n+Int8)+ENGINE=Memory", "", nil); status == 200 || !strings.Contains(body, "READONLY") {
		t.Errorf("GET changed something: %d %s", status, body)
	}
}

func TestConcurrentQueriesDoNotMix(t *testing.T) {
	conn := client(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for j := range 20 {
				want := uint64(i*1000 + j)
				var got, n uint64
				err := conn.QueryRow(t.Context(), "SELECT {x:UInt64}, count() FROM numbers(10000)", clickhouse.Named("x", fmt.Sprint(want))).Scan(&got, &n)
				if err != nil || got != want || n != 10000 {
					t.Errorf("got %d and %d, want %d: %v", got, n, want, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestWrongCredentialsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"none":           func(r *http.Request) { r.Header.Del("Authorization") },
		"wrong password": func(r *http.Request) { r.SetBasicAuth("cdds", "wrong") },
		"no password":    func(r *http.Request) { r.SetBasicAuth("default", "") },
	} {
		status, _, body := request(t, "POST", "", "SELECT 1", change)
		if status != http.StatusForbidden || !strings.Contains(body, "AUTHENTICATION_FAILED") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	e := stacktest.Shared(t).Endpoints().ClickHouse
	status, _, body := request(t, "POST", "", "SELECT 1", func(r *http.Request) {
		r.Header.Del("Authorization")
		r.Header.Set("X-ClickHouse-User", e.Username)
		r.Header.Set("X-ClickHouse-Key", e.Password)
	})
	if status != 200 || body != "1\n" {
		t.Errorf("ClickHouse's own headers: %d %s", status, body)
	}
}

func TestWhatIsNotSupportedIsRefusedWithTheWayOut(t *testing.T) {
	lz4 := open(t, nil, clickhouse.CompressionLZ4)
	wantCode(t, lz4.Ping(t.Context()), 48)
	for _, c := range []struct{ query, want string }{
		{"?session_id=1", "send settings with each query"},
		{"?a%27b=1", "name of a setting"},
		{"?default_format=x%20y", "name of a format"},
		{"?%zz", "URL parameters"},
	} {
		if status, _, body := request(t, "POST", c.query, "SELECT 1", nil); status != 400 || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.query, status, body)
		}
	}
}

func BenchmarkSelectOne(b *testing.B) {
	conn := client(b)
	for b.Loop() {
		var n uint8
		if err := conn.QueryRow(b.Context(), "SELECT 1").Scan(&n); err != nil {
			b.Fatal(err)
		}
	}
}
