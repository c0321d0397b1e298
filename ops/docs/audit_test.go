package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cdds/schemas"
)

var (
	auditRow   = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| (.*) \\|$")
	actionName = regexp.MustCompile(`^[a-z]+\.[a-z]+(_[a-z]+)*$`)
	literal    = regexp.MustCompile(`"([a-z]+\.[a-z_]+)"`)
	// recording are lines outside ops/admin and ops/auth, which do nothing else with such
	// words, that name an action.
	recording = regexp.MustCompile(`(?i)\baction\w*\b.*[:=]|\.audit\(`)
)

// TestEveryAuditActionIsListedNamedAlikeAndOnThePage reads the actions in the code, those of
// the list, and the table of the page.
func TestEveryAuditActionIsListedNamedAlikeAndOnThePage(t *testing.T) {
	var listed []string
	means := map[string]string{}
	for _, a := range schemas.AuditActions() {
		listed, means[a.Name] = append(listed, a.Name), a.Means
		if !actionName.MatchString(a.Name) || a.Means == "" {
			t.Errorf("the action is %q, %q; want a thing, a dot and a verb, and what it means", a.Name, a.Means)
		}
	}
	if !slices.IsSorted(listed) || len(slices.Compact(slices.Clone(listed))) != len(listed) {
		t.Errorf("the list is not in order, or has an action twice: %q", listed)
	}
	page, err := os.ReadFile("audit.md")
	check(t, err)
	var shown []string
	for _, row := range auditRow.FindAllStringSubmatch(string(page), -1) {
		shown = append(shown, row[1])
		if means[row[1]] != row[2] {
			t.Errorf("audit.md says of %s %q; the list says %q", row[1], row[2], means[row[1]])
		}
	}
	if !slices.Equal(shown, listed) {
		t.Errorf("audit.md shows %q, want %q", shown, listed)
	}
	used := actionsInCode(t)
	if len(used) < 20 {
		t.Errorf("the code has only %q", used)
	}
	for at, action := range used {
		if !slices.Contains(listed, action) {
			t.Errorf("%s records %q, which is not in schemas.AuditActions", at, action)
		}
	}
}

// actionsInCode are the actions that the code names, by where it does.
func actionsInCode(t *testing.T) map[string]string {
	t.Helper()
	used := map[string]string{}
	for _, dir := range []string{"consumers", "producers", "ops"} {
		check(t, filepath.WalkDir(filepath.Join(top, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "proof" {
				return fs.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			content, err := os.ReadFile(path)
			for line := range strings.Lines(string(content)) {
				if only := strings.Contains(path, "/ops/admin/") || strings.Contains(path, "/ops/auth/"); !only && !recording.MatchString(line) {
					continue
				}
				for _, found := range literal.FindAllStringSubmatch(line, -1) {
					used[strings.TrimPrefix(path, top+"/")+": "+strings.TrimSpace(line)] = found[1]
				}
			}
			return err
		}))
	}
	return used
}
