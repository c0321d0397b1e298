package postgres_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/postgres"
	"cdds/pipeline/mirror/postgres/postgrestest"
	"cdds/schemas"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

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

func open(t testing.TB, dir string) mirror.Destination {
	t.Helper()
	d, err := postgres.Open(t.Context(), postgrestest.Address(t, dir))
	check(t, err)
	return d
}

func execute(t testing.TB, dir, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgrestest.Address(t, dir))
	check(t, err)
	_, err = conn.Exec(t.Context(), statement)
	check(t, errors.Join(err, conn.Close(t.Context())))
}

func ask(t testing.TB, dir, query string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgrestest.Address(t, dir))
	check(t, err)
	err = conn.QueryRow(t.Context(), query).Scan(&answer)
	check(t, errors.Join(err, conn.Close(t.Context())))
	return answer
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
