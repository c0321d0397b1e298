package jsonl_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/jsonl"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/schemas"
)

var kind = mirrortest.Kind{
	Open: open,
	Bodies: func(t testing.TB, dir, entity string) []byte {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, mirror.TableOf(entity).Name, "*.jsonl"))
		check(t, err)
		var all bytes.Buffer
		for _, f := range files {
			all.Write(read(t, f))
		}
		return all.Bytes()
	},
	Meddle: func(t testing.TB, dir string) {
		mirrortest.SQLite(t, filepath.Join(dir, ".cdds", "copy.sqlite"), "DELETE FROM interactions WHERE rowid = (SELECT min(rowid) FROM interactions)")
	},
}

func TestACopyInJSONLinesIsWhatAllRunsTogetherHold(t *testing.T) { mirrortest.Conform(t, kind) }

func TestFilesThatSomebodyChangedOrRemovedAreMadeAgain(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := mirror.Copy{Destination: d}
	line := []byte(`{"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z"}`)
	key := schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since), ID: "i1"}
	run := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", Rows: []mirrortest.Row{{Key: key, Line: line, Files: []mirrortest.File{{ID: "a1", Problem: "not found"}}}}}
	_, err := c.Apply(t.Context(), run.Write(t).Open(t), schemas.TimeOf(mirrortest.Since))
	check(t, errors.Join(err, d.Close()))
	rows, attachments := filepath.Join(dir, "interactions", "2026-01.jsonl"), filepath.Join(dir, "attachments", "2026-01.jsonl")
	if got := string(read(t, attachments)); got != `{"started_at":"2026-01-01T00:00:00.000Z","interaction_id":"i1","attachment_id":"a1","name":"a1.txt","problem":"not found","size":0}`+"\n" {
		t.Errorf("attachments are %s", got)
	}
	check(t, os.WriteFile(rows, []byte("nothing\n"), 0o600))
	check(t, os.Remove(attachments))
	check(t, open(t, dir).Close())
	if got := read(t, rows); string(got) != string(line)+"\n" {
		t.Errorf("the file has %q", got)
	}
	if _, err := os.Stat(attachments); err != nil {
		t.Error(err)
	}
}

func TestAMonthWithoutRowsHasNoFile(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	c := mirror.Copy{Destination: d}
	key := schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since), ID: "i1"}
	one := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", Rows: []mirrortest.Row{{Key: key, Line: []byte(`{"interaction_id":"i1","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z"}`)}}}.Write(t)
	two := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", After: one, Removed: []schemas.Removal{{ID: "i1", Reason: schemas.RemovedErased}}}.Write(t)
	for _, run := range []*mirrortest.Link{one, two} {
		_, err := c.Apply(t.Context(), run.Open(t), schemas.TimeOf(mirrortest.Since))
		check(t, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "interactions", "2026-01.jsonl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its file: %v", err)
	}
	check(t, d.Close())
}

func open(t testing.TB, dir string) mirror.Destination {
	t.Helper()
	d, err := jsonl.Open(t.Context(), dir)
	check(t, err)
	return d
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	check(t, err)
	return content
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
