package copies

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // reads the copy as anybody does

	"cdds/pipeline/mirror/mirrortest"
	"cdds/schemas"
)

// python is where `make client-tools` installs packages of PyPI.
const python = "../../../.tools/python/bin/python"

// TestDuckDBAndPyArrowReadTheSameCopyAsSQLiteAndJSONLines follows one chain into three
// copies, and reads each with what its users have.
func TestDuckDBAndPyArrowReadTheSameCopyAsSQLiteAndJSONLines(t *testing.T) {
	story := mirrortest.NewStory(t, *seed, *runs)
	dir, args := t.TempDir(), keys(t)
	for _, to := range []place{{to: "sqlite:" + dir + "/copy.sqlite"}, {to: "parquet:" + dir + "/parquet"}, kinds["jsonl"](t, filepath.Join(dir, "of jsonl"))} {
		if cmd := sync(t, story.Dir, to, args); cmd.Run() != nil {
			t.Fatalf("%s: %s", to.to, cmd.Stderr)
		}
	}
	var want []string
	for line := range bytes.Lines(story.Lines(story.Runs())) {
		i, err := schemas.DecodeInteraction(line)
		check(t, err)
		body := strings.TrimSuffix(string(line), "\n")
		want = append(want, text(t, i.StartedAt.UnixMilli(), i.InteractionID, i.MediaType, given(i.Subject), given(i.Text), body))
	}
	if len(want) < 20 {
		t.Fatalf("the copy has only %d rows", len(want))
	}
	same := func(t *testing.T, got []string) {
		t.Helper()
		for n := range max(len(got), len(want)) {
			if n >= len(got) || n >= len(want) || got[n] != want[n] {
				t.Fatalf("row %d of %d, and the model has %d:\n%s\n%s", n, len(got), len(want), at(got, n), at(want, n))
			}
		}
	}
	t.Run("JSON Lines", func(t *testing.T) {
		lines := kinds["jsonl"](t, filepath.Join(dir, "of jsonl")).read(t)
		if !bytes.Equal(lines, story.Lines(story.Runs())) {
			t.Errorf("the files have\n%s", lines)
		}
	})
	t.Run("SQLite", func(t *testing.T) {
		db, err := sql.Open("sqlite", dir+"/copy.sqlite")
		check(t, err)
		rows, err := db.QueryContext(t.Context(), "SELECT interaction_id, media_type, subject, text, body FROM interactions ORDER BY started_at, interaction_id")
		check(t, err)
		var got []string
		for rows.Next() {
			var id, media, body string
			var subject, said *string
			check(t, rows.Scan(&id, &media, &subject, &said, &body))
			i, err := schemas.DecodeInteraction([]byte(body))
			check(t, err)
			got = append(got, text(t, i.StartedAt.UnixMilli(), id, media, subject, said, body))
		}
		check(t, rows.Err())
		check(t, db.Close())
		same(t, got)
	})
	for _, reader := range []string{"duckdb", "pyarrow"} {
		t.Run(reader, func(t *testing.T) {
			if err := exec.CommandContext(t.Context(), python, "-c", "import "+reader).Run(); err != nil {
				t.Skipf("no %s in .tools/python: `make client-tools` installs it", reader)
			}
			var stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), python, "read.py", reader, filepath.Join(dir, "parquet"))
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			var got []string
			for line := range bytes.Lines(out) {
				var values []any
				decoder := json.NewDecoder(bytes.NewReader(line))
				decoder.UseNumber()
				check(t, decoder.Decode(&values))
				got = append(got, text(t, values...))
			}
			same(t, got)
		})
	}
}

// given is a text that may not be there.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// text is a row to be compared.
func text(t *testing.T, values ...any) string {
	t.Helper()
	b, err := json.Marshal(values)
	check(t, err)
	return string(b)
}

func at(rows []string, n int) string {
	if n < len(rows) {
		return rows[n]
	}
	return "nothing"
}
