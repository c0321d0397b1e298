package app_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"cdds/producers/importer"
	"cdds/schemas"
)

// dialogues is a file of real customer-service conversations that may lie beside a
// checkout of the project; it is not part of it.
const dialogues = "../shared/data/interactions.jsonl.gz"

// TestRealDialoguesComeOutAsTheyWentIn imports real conversations, exports them per
// tenant, and compares field by field: nothing missing, nothing twice, nothing from
// the other tenant.
func TestRealDialoguesComeOutAsTheyWentIn(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", filepath.FromSlash(dialogues))
	want := map[string]map[string]map[string]any{}
	total := 0
	for _, line := range readDialogues(t, file) {
		tenant, id := line["tenant_id"].(string), line["interaction_id"].(string)
		if want[tenant] == nil {
			want[tenant] = map[string]map[string]any{}
		}
		want[tenant][id] = line
		total++
	}
	w := newWorld(t)
	w.run("ingest", "export", "history")
	report, err := importer.Import(t.Context(), importer.Options{Publisher: w.publisher, Topic: schemas.TopicInteractions, Files: []string{file}})
	check(t, err)
	if report.Published != int64(total) || report.Refused != 0 {
		t.Fatalf("of %d lines %d were published and %d refused: %+v", total, report.Published, report.Refused, report.Refusals)
	}
	for tenant := range want {
		r := w.request(tenant, "all")
		r.SplitSize = 4 << 20
		w.publish(r)
	}
	for tenant, lines := range want {
		e := w.await(tenant, "all")
		if e.State != schemas.Completed || e.Done.Rows != int64(len(lines)) {
			t.Fatalf("%s: %s with %d rows, want %d: %+v", tenant, e.State, e.Done.Rows, len(lines), e.Failure)
		}
		for _, line := range w.open(e) {
			var got map[string]any
			check(t, json.Unmarshal([]byte(line), &got))
			id := got["interaction_id"].(string)
			if !reflect.DeepEqual(got, lines[id]) {
				t.Fatalf("%s %s came out as\n%v\nand went in as\n%v", tenant, id, got, lines[id])
			}
			delete(lines, id) // a second time it would be missing
		}
		if len(lines) != 0 {
			t.Errorf("%s: %d interactions are missing", tenant, len(lines))
		}
	}
}

func readDialogues(t *testing.T, file string) (lines []map[string]any) {
	t.Helper()
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the real dialogues (%s) are not beside this checkout", dialogues)
	}
	check(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	check(t, err)
	scanner := bufio.NewScanner(z)
	scanner.Buffer(nil, schemas.MaxEventBytes)
	for scanner.Scan() {
		var line map[string]any
		check(t, json.Unmarshal(scanner.Bytes(), &line))
		lines = append(lines, line)
	}
	check(t, scanner.Err())
	return lines
}
