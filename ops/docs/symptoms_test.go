package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// TestEverySymptomIsWhatTheCodeSays looks in the sources for the texts that the page of
// symptoms has in its first column; those of other programs say whose they are.
func TestEverySymptomIsWhatTheCodeSays(t *testing.T) {
	var sources strings.Builder
	check(t, filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		sources.Write(content)
		return err
	}))
	page, err := os.ReadFile("troubleshooting.md")
	check(t, err)
	looked := 0
	for n, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 {
			continue
		}
		symptom := strings.TrimPrefix(cells[0], "| ")
		if strings.HasPrefix(symptom, "openssl:") || strings.HasPrefix(symptom, "unzip:") || strings.HasPrefix(symptom, "Kafka:") {
			continue
		}
		for _, match := range quoted.FindAllStringSubmatch(symptom, -1) {
			for text := range strings.SplitSeq(match[1], "...") {
				if text = strings.TrimSpace(text); text == "" {
					continue
				}
				looked++
				if !strings.Contains(sources.String(), text) {
					t.Errorf("troubleshooting.md:%d: nothing says %q", n+1, text)
				}
			}
		}
	}
	if looked < 15 {
		t.Errorf("only %d texts were looked for", looked)
	}
}
