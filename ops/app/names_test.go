package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/producers/importer"
	"cdds/schemas"
)

// TestRealDialoguesWithGenesysNamesAreImportedAndExportedAgain exports real conversations with
// the names of Genesys, imports what a receiver has of them into another system, exports that,
// and compares: every line is equal, byte by byte.
func TestRealDialoguesWithGenesysNamesAreImportedAndExportedAgain(t *testing.T) {
	t.Parallel()
	const most = 3000 // more of them would show nothing else
	first := filepath.Join(t.TempDir(), "ours.jsonl")
	var lines strings.Builder
	n := 0
	for _, line := range readDialogues(t, filepath.Join("..", "..", filepath.FromSlash(dialogues))) {
		if line["tenant_id"] != "acme" || n == most {
			continue
		}
		n++
		line["external_id"], line["is_spam"], line["time_shift"] = "<"+line["interaction_id"].(string)+"@example.com>", n%7 == 0, n%1440
		b, err := json.Marshal(line)
		check(t, err)
		lines.Write(append(b, '\n'))
	}
	check(t, os.WriteFile(first, []byte(lines.String()), 0o600))

	exported := func(file, names string) []string {
		w := newWorld(t)
		w.run("ingest", "export", "history")
		report, err := importer.Import(t.Context(), importer.Options{Publisher: w.publisher, Topic: schemas.TopicInteractions, Names: names, Files: []string{file}})
		check(t, err)
		if report.Published != int64(n) || report.Refused != 0 {
			t.Fatalf("of %d lines %d were published and %d refused: %+v", n, report.Published, report.Refused, report.Refusals)
		}
		r := w.request("acme", "named")
		r.Names = schemas.NamesGenesys
		w.publish(r)
		e := w.await("acme", "named")
		if e.State != schemas.Completed || e.Done.Rows != int64(n) {
			t.Fatalf("%s with %d rows, want %d: %+v", e.State, e.Done.Rows, n, e.Failure)
		}
		return w.open(e)
	}
	ours := exported(first, "")
	for _, line := range ours[:20] {
		var row map[string]any
		check(t, json.Unmarshal([]byte(line), &row))
		if row["ixnId"] != row["interaction_id"] || row["typeId"] != "Inbound" || row["queueName"] != row["queue"] || row["externalId"] == nil || row["isSpam"] != row["is_spam"] {
			t.Fatalf("a row without the other names: %s", line)
		}
	}
	second := filepath.Join(t.TempDir(), "theirs.jsonl")
	check(t, os.WriteFile(second, []byte(strings.Join(ours, "\n")+"\n"), 0o600))
	if again := exported(second, schemas.NamesGenesys); !slices.Equal(again, ours) {
		t.Errorf("%d lines became %d lines that are not equal", len(ours), len(again))
	}
}
