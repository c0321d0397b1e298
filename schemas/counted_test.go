package schemas_test

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestNumbersOfThingsReadAsPeopleWriteThem(t *testing.T) {
	for want, got := range map[string]string{
		"0 parts":                    schemas.Counted(0, "part"),
		"1 part":                     schemas.Counted(1, "part"),
		"2 parts":                    schemas.Counted(int64(2), "part"),
		"12,000 entries":             schemas.Counted(12_000, "entry"),
		"3 days":                     schemas.Counted(int32(3), "day"),
		"-1,000,000":                 schemas.Grouped(-1_000_000),
		"999":                        schemas.Grouped(999),
		"-9,223,372,036,854,775,808": schemas.Grouped(int64(math.MinInt64)),
		"18,446,744,073,709,551,615": schemas.Grouped(uint64(math.MaxUint64)),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// things are nouns that programs and people count here.
const things = `artifacts|attachments|bytes|certificates|chunks|days|entries|events|exports|files|hours|ids|interactions|items|jobs|lines|objects|parts|partitions|problems|records|rows|runs|tenants|tokens|topics|users|versions|violations`

var (
	byHand = regexp.MustCompile(`(%[dsv]|\{\{(count |\.)[^}]*\}\}) (` + things + `)\b`)
	// bound is what stands before a limit: those are constants, and none is 1.
	bound = regexp.MustCompile(`(limit is|at (most|least)|(more|larger|longer|deeper) than|1 to|outside %d to|limited to|exceeds?|octet string of) (the )?%d [a-z]+|content exceeds the %d bytes|has %d bytes; the limit`)
)

// TestNothingIsCountedByHand finds the "1 parts" of tomorrow.
func TestNothingIsCountedByHand(t *testing.T) {
	looked := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case d.IsDir() && (name == "proof" || name == "pipelinetest" || name == "tools" || strings.HasPrefix(name, ".") && name != ".."):
			return fs.SkipDir // what measures and tests, and is not shipped
		case d.IsDir(), strings.HasSuffix(name, "_test.go"), filepath.Ext(name) != ".go" && filepath.Ext(name) != ".html":
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		looked++
		for n, line := range strings.Split(string(content), "\n") {
			if byHand.MatchString(bound.ReplaceAllString(line, "")) {
				t.Errorf("%s:%d counts by hand; use Counted: %s", path, n+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil || looked < 200 {
		t.Errorf("looked at %d files: %v", looked, err)
	}
}
