package parquet_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	reader "github.com/parquet-go/parquet-go"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/parquet"
	"cdds/schemas"
)

func TestACopyInParquetIsWhatAllRunsTogetherHold(t *testing.T) {
	mirrortest.Conform(t, mirrortest.Kind{
		Open: open,
		Bodies: func(t testing.TB, dir, entity string) []byte {
			t.Helper()
			files, err := filepath.Glob(filepath.Join(dir, mirror.TableOf(entity).Name, "*.parquet"))
			check(t, err)
			var all bytes.Buffer
			for _, f := range files {
				rows, err := reader.ReadFile[struct {
					Body string `parquet:"body"`
				}](f)
				check(t, err)
				for _, row := range rows {
					all.WriteString(row.Body + "\n")
				}
			}
			return all.Bytes()
		},
		Meddle: func(t testing.TB, dir string) {
			mirrortest.SQLite(t, filepath.Join(dir, ".cdds", "copy.sqlite"), "DELETE FROM interactions WHERE rowid = (SELECT min(rowid) FROM interactions)")
		},
	})
}

func TestColumnsHaveTheirTypes(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := mirror.Copy{Destination: d}
	line := `{"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z","text":"grüße","attributes":{"k":"v"}}`
	run := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", Rows: []mirrortest.Row{{
		Key: schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since), ID: "i1"}, Line: []byte(line), Files: []mirrortest.File{{ID: "a1", Content: "hello"}},
	}}}
	_, err := c.Apply(t.Context(), run.Write(t).Open(t), schemas.TimeOf(mirrortest.Since))
	check(t, errors.Join(err, d.Close()))
	type row struct {
		StartedAt  time.Time `parquet:"started_at,timestamp(millisecond)"`
		ID         string    `parquet:"interaction_id"`
		Queue      *string   `parquet:"queue,optional"`
		Text       *string   `parquet:"text,optional"`
		Attributes *string   `parquet:"attributes,optional"`
		Body       string    `parquet:"body"`
	}
	rows, err := reader.ReadFile[row](filepath.Join(dir, "interactions", "2026-01.parquet"))
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	got := rows[0]
	if !got.StartedAt.Equal(mirrortest.Since) || got.ID != "i1" || got.Queue != nil || *got.Text != "grüße" || *got.Attributes != `{"k":"v"}` || got.Body != line {
		t.Errorf("the row is %+v", got)
	}
	files, err := reader.ReadFile[struct {
		Size *int64 `parquet:"size,optional"`
	}](filepath.Join(dir, "attachments", "2026-01.parquet"))
	if err != nil || len(files) != 1 || *files[0].Size != 5 {
		t.Errorf("attachments are %+v: %v", files, err)
	}
}

func TestManyRowsAreDividedIntoGroups(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := mirror.Copy{Destination: d}
	run := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly"}
	for n := range 60_000 {
		at := schemas.TimeOf(mirrortest.Since.Add(time.Duration(n) * time.Second))
		run.Rows = append(run.Rows, mirrortest.Row{
			Key: schemas.RowKey{Time: at, ID: "i"}, Line: []byte(`{"interaction_id":"i","tenant_id":"acme","media_type":"chat","started_at":"` + at.String() + `"}`),
		})
	}
	_, err := c.Apply(t.Context(), run.Write(t).Open(t), schemas.TimeOf(mirrortest.Since))
	check(t, errors.Join(err, d.Close()))
	f := opened(t, filepath.Join(dir, "interactions", "2026-01.parquet"))
	if f.NumRows() != 60_000 || len(f.RowGroups()) < 2 {
		t.Errorf("%d rows in %d groups", f.NumRows(), len(f.RowGroups()))
	}
}

func opened(t testing.TB, file string) *reader.File {
	t.Helper()
	content, err := os.ReadFile(file)
	check(t, err)
	f, err := reader.OpenFile(bytes.NewReader(content), int64(len(content)))
	check(t, err)
	return f
}

func open(t testing.TB, dir string) mirror.Destination {
	t.Helper()
	d, err := parquet.Open(t.Context(), dir)
	check(t, err)
	return d
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAMonthIsCompressedWithinTheMemoryOfItsPages(t *testing.T) {
	d := open(t, t.TempDir())
	run := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly"}
	for n := range 12 {
		at := schemas.TimeOf(mirrortest.Since.AddDate(0, n, 0))
		run.Rows = append(run.Rows, mirrortest.Row{
			Key: schemas.RowKey{Time: at, ID: "i"}, Line: []byte(`{"interaction_id":"i","tenant_id":"acme","media_type":"chat","started_at":"` + at.String() + `","text":"` + strings.Repeat("word ", 60_000) + `"}`),
		})
	}
	export := run.Write(t).Open(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := (&mirror.Copy{Destination: d}).Apply(t.Context(), export, schemas.TimeOf(mirrortest.Since))
	runtime.ReadMemStats(&after)
	check(t, errors.Join(err, d.Close()))
	if month := (after.TotalAlloc - before.TotalAlloc) / 12 >> 20; month > 22 {
		t.Errorf("applying and writing a month of 300 KB allocated %d MiB", month)
	}
}
