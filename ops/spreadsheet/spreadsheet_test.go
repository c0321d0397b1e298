package spreadsheet_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"testing"

	"cdds/ops/spreadsheet"
)

func TestNoCellIsAFormulaOrBreaksItsRow(t *testing.T) {
	var out bytes.Buffer
	w := spreadsheet.New(&out)
	given := []string{"=1+1", "+1", "-1", "@x", "a=b", `a "b", c`, "two\nlines\x1b[31m", "", "é"}
	if err := w.Write(given...); err != nil || w.Flush() != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	want := []string{"'=1+1", "'+1", "'-1", "'@x", "a=b", `a "b", c`, "two lines [31m", "", "é"}
	if err != nil || len(rows) != 1 || !slices.Equal(rows[0], want) {
		t.Errorf("%q, %v, want %q", rows, err, want)
	}
}
