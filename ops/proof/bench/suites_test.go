package main

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// A suite that a page names and nobody can run, or one that no page names, is a promise or a
// figure that nobody looks at.
func TestSuitesThatThePagesNameAreThoseThatRun(t *testing.T) {
	var run []string
	for _, s := range suites {
		run = append(run, s.name)
	}
	slices.Sort(run)
	for page, named := range map[string]string{
		"../../../README.md":        "\\(`([a-z]+)`\\)",
		"../../docs/performance.md": "(?m)^\\| `([a-z]+)` \\|",
	} {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		if page == "../../../README.md" {
			text = regexp.MustCompile("(?m)^\\| `make bench` .*$").FindString(text)
		}
		var names []string
		for _, match := range regexp.MustCompile(named).FindAllStringSubmatch(text, -1) {
			names = append(names, match[1])
		}
		slices.Sort(names)
		if !slices.Equal(names, run) {
			t.Errorf("%s names %q; what runs is %q", page, names, run)
		}
	}
}

func TestASuiteThatDoesNotExistIsRefused(t *testing.T) {
	if _, err := parse([]string{"--only", "ingest,sinks"}); err == nil {
		t.Error("sinks was taken for a suite")
	}
}
