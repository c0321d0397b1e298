package docs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestThePageOfNamesListsEachName(t *testing.T) {
	page, err := os.ReadFile("names.md")
	check(t, err)
	rows := 0
	for _, entity := range schemas.Entities() {
		for _, name := range schemas.FieldNamesOf(schemas.NamesGenesys, entity).All() {
			rows++
			if row := fmt.Sprintf("| `%s` | `%s` |\n", name.Ours, name.Theirs); !strings.Contains(string(page), row) {
				t.Errorf("names.md lacks %q", row)
			}
		}
	}
	if n := strings.Count(string(page), "\n| `"); n != rows {
		t.Errorf("names.md lists %d names, want %d", n, rows)
	}
}
