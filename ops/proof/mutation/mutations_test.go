package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const top = "../../.."

func TestEveryMutationHasItsTextOnceAndItsTest(t *testing.T) {
	for _, m := range slices.Concat(mutations, perimeter, faults, hidden, quotas, erasing) {
		if _, err := m.mutated(top); err != nil {
			t.Error(err)
		}
		if m.text == m.instead {
			t.Errorf("%s (%s) changes nothing", m.promise, m.removed)
		}
		tests, err := filepath.Glob(filepath.Join(top, m.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range tests {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(source), "func "+m.test+"(t *testing.T)")
		}
		if !found {
			t.Errorf("%s (%s): %s has no %s", m.promise, m.removed, m.pkg, m.test)
		}
	}
}

func TestThePageOfGuaranteesHasEveryPromiseAndNamesTestsThatExist(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(top, "ops/docs/guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	removed := map[string]bool{}
	for _, m := range slices.Concat(mutations, erasing) {
		removed[m.promise] = true
		if !strings.Contains(page, "\n## "+m.promise+"\n") {
			t.Errorf("the page has no promise %q", m.promise)
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(page, -1) {
		if !removed[heading[1]] {
			t.Errorf("no mechanism of %q is ever removed", heading[1])
		}
	}
	sources := ""
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != top:
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			source, err := os.ReadFile(path)
			sources += string(source)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(sources, "func "+test[1]+"(t *testing.T)") {
			t.Errorf("there is no test %s", test[1])
		}
	}
}
