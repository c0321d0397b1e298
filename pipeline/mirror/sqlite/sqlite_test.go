package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/sqlite"
	"cdds/schemas"
)

func TestACopyInSQLiteIsWhatAllRunsTogetherHold(t *testing.T) {
	mirrortest.Conform(t, mirrortest.Kind{
		Open: func(t testing.TB, dir string) mirror.Destination {
			d, err := sqlite.Open(t.Context(), filepath.Join(dir, "copy.sqlite"))
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Meddle: func(t testing.TB, dir string) {
			mirrortest.SQLite(t, filepath.Join(dir, "copy.sqlite"), "DELETE FROM interactions WHERE rowid = (SELECT min(rowid) FROM interactions)")
		},
	})
}

func TestATableOfAnEarlierVersionGetsTheColumnsItLacks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "copy.sqlite")
	apply(t, file, mirrortest.Row{Key: at("i1"), Line: []byte(`{"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z","queue":"sales"}`)})
	mirrortest.SQLite(t, file, "DROP INDEX interactions_by_queue; ALTER TABLE interactions DROP COLUMN queue; UPDATE cdds_position SET format = 0")
	d := open(t, file)
	batch, err := d.Begin(t.Context(), schemas.EntityInteraction, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Position(t.Context(), schemas.EntityInteraction)
	if err == nil {
		_, err = batch.Commit(t.Context(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, file, "SELECT queue FROM interactions"); got != "sales" {
		t.Errorf("the column has %q", got)
	}
}

func TestADatabaseOfALaterVersionIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "copy.sqlite")
	apply(t, file)
	mirrortest.SQLite(t, file, "UPDATE cdds_position SET format = 99")
	_, err := open(t, file).Position(t.Context(), schemas.EntityInteraction)
	if later := new(mirror.FormatError); !errors.As(err, &later) {
		t.Errorf("its position: %v", err)
	}
}

func TestWhatIsNoDatabaseIsRefusedAndStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "letter.txt")
	letter := strings.Repeat("Dear Sir or Madam\n", 100)
	if err := os.WriteFile(file, []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), file); err == nil {
		t.Error("it was opened")
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != letter {
		t.Errorf("it was changed: %v", err)
	}
}

func at(id string) schemas.RowKey {
	return schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since), ID: id}
}

func open(t testing.TB, file string) *sqlite.Database {
	t.Helper()
	d, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func apply(t testing.TB, file string, rows ...mirrortest.Row) {
	t.Helper()
	d := open(t, file)
	c := mirror.Copy{Destination: d}
	link := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", Rows: rows}.Write(t)
	if _, err := c.Apply(t.Context(), link.Open(t), schemas.TimeOf(mirrortest.Since)); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func ask(t testing.TB, file, query string) (answer string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err == nil {
		err = db.QueryRowContext(t.Context(), query).Scan(&answer)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return answer
}
