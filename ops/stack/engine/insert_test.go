package engine_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func TestBatchComesBackAsItWasSent(t *testing.T) {
	type row struct {
		ID     uint64            `ch:"id"`
		Small  int32             `ch:"small"`
		Big    int64             `ch:"big"`
		At     time.Time         `ch:"at"`
		Name   string            `ch:"name"`
		Queue  string            `ch:"queue"`
		Attrs  map[string]string `ch:"attrs"`
		Tags   []string          `ch:"tags"`
		Rating *float64          `ch:"rating"`
		Agent  *string           `ch:"agent"`
	}
	for _, compression := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionGZIP} {
		t.Run(compression.String(), func(t *testing.T) {
			conn := open(t, clickhouse.Settings{"enable_http_compression": 1}, compression)
			name := table(t, conn, `id UInt64, small Int32, big Int64, at DateTime64(3, 'UTC'), name String, queue LowCardinality(String),
				attrs Map(String, String), tags Array(String), rating Nullable(Float64), agent LowCardinality(Nullable(String))`)
			var want []row
			for i := range 10_000 {
				r := row{
					ID: uint64(i), Small: int32(-i), Big: int64(i) << 33, At: time.UnixMilli(1_700_000_000_123 + int64(i)).UTC(),
					Name: fmt.Sprintf("Zoë %d\n\nDROP TABLE %s\n", i, name), Queue: fmt.Sprint("q", i%7),
					Attrs: map[string]string{"k": fmt.Sprint(i)}, Tags: []string{"a", "", "\x00"}[:i%4%3],
				}
				if r.Tags == nil {
					r.Tags = []string{}
				}
				if f, s := float64(i)/3, fmt.Sprint("agent", i%11); i%2 == 0 {
					r.Rating, r.Agent = &f, &s
				}
				want = append(want, r)
			}
			batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO "+name)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range want {
				if err := batch.AppendStruct(&r); err != nil {
					t.Fatal(err)
				}
			}
			if err := batch.Send(); err != nil {
				t.Fatal(err)
			}
			var got []row
			if err := conn.Select(t.Context(), &got, "SELECT * FROM "+name+" ORDER BY id"); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows differ from the %d sent; the first is %+v, want %+v", len(got), len(want), got[0], want[0])
			}
		})
	}
}

func TestNoDataIsEverExecuted(t *testing.T) {
	conn := client(t)
	ctx := t.Context()
	victim := table(t, conn, "s String")
	evil := "a\n\nDROP TABLE " + victim + "\n\nDROP TABLE " + victim + ";\n"
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+victim)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(batch.Append(evil), batch.Send()); err != nil {
		t.Fatal(err)
	}
	// A row, an empty line, and a statement where the next row should be: bad
	// data, nothing else.
	err = conn.InsertFormat(ctx, "JSONEachRow", "INSERT INTO "+victim, strings.NewReader(`{"s":"x"}`+"\n\nDROP TABLE "+victim+"\n"))
	if err == nil {
		t.Error("a statement was taken for a row of JSON")
	}
	if err := conn.InsertFormat(ctx, "LineAsString", "INSERT INTO "+victim, strings.NewReader(evil)); err != nil {
		t.Error(err)
	}
	if err := conn.Exec(ctx, "INSERT INTO "+victim+" VALUES (?)", evil); err != nil {
		t.Error(err)
	}
	if err := conn.Exec(ctx, "INSERT INTO "+victim+" SELECT {s:String}", clickhouse.Named("s", evil)); err != nil {
		t.Error(err)
	}
	for _, text := range []string{
		"INSERT INTO %s FORMAT JSONEachRow {\"s\":\"x\"}\n\nDROP TABLE %[1]s",
		"INSERT INTO %s FORMAT TSV\nx\n\nDROP TABLE %[1]s\n",
		"INSERT INTO %s VALUES ('x')\n\nDROP TABLE %[1]s",
		"INSERT INTO %s VALUES ('x'); DROP TABLE %[1]s",
		"INSERT INTO %s SELECT 'x' FORMAT TSV\n\nDROP TABLE %[1]s",
		"INSERT INTO %s SELECT s FROM input('s String') FORMAT TSV\nx\n\nDROP TABLE %[1]s",
		"SELECT 1\n\nDROP TABLE %s",
		"SELECT 1;\n\nDROP TABLE %s",
		"SHOW TABLES\n\nDROP TABLE %s",
	} {
		if err := conn.Exec(ctx, fmt.Sprintf(text, victim)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if n := count(t, conn, victim); n < 3 {
		t.Errorf("%d rows", n)
	}
	status, _, body := request(t, "POST", "?query=SELECT+1", "\n\nDROP TABLE "+victim, nil)
	if status != http.StatusBadRequest {
		t.Errorf("a SELECT with a body: %d %s", status, body)
	}
	count(t, conn, victim)
}

func TestInsertFormatTakesDefaultsAndSettings(t *testing.T) {
	for _, compression := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionGZIP} {
		t.Run(compression.String(), func(t *testing.T) {
			conn := open(t, nil, compression)
			name := table(t, conn, "id UInt64, s String DEFAULT concat('id ', toString(id))")
			var body strings.Builder
			for i := range 100_000 {
				fmt.Fprintf(&body, `{"id":%d,"more":"unknown"}`+"\n", i)
			}
			ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"input_format_skip_unknown_fields": 1}))
			if err := conn.InsertFormat(ctx, "JSONEachRow", "INSERT INTO "+name+" (id)", strings.NewReader(body.String())); err != nil {
				t.Fatal(err)
			}
			var s string
			if err := conn.QueryRow(t.Context(), "SELECT s FROM "+name+" WHERE id = 99999").Scan(&s); err != nil || s != "id 99999" {
				t.Errorf("got %q, %v", s, err)
			}
		})
	}
}

func TestInsertSettingsInTheTextStayWhereTheyBelong(t *testing.T) {
	conn := client(t)
	name := table(t, conn, "id UInt64")
	status, _, body := request(t, "POST", "?query=INSERT+INTO+"+name+"+(id)+SETTINGS+input_format_skip_unknown_fields=1+--+note%0aFORMAT+JSONEachRow", `{"id":1,"x":2}`, nil)
	if status != 200 {
		t.Errorf("%d %s", status, body)
	}
	status, _, body = request(t, "POST", "?query=INSERT+INTO+"+name+"+VALUES", "(2),(3)", nil)
	if status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if n := count(t, conn, name); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
}
