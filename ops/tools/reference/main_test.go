package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryCommandHasAManPage(t *testing.T) {
	dir := t.TempDir()
	if err := run("", dir, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cdds.1", "cdds-sync.1", "cdds-export-download.1"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.HasPrefix(string(content), ".nh\n.TH") || !strings.Contains(string(content), "cdds v1.2.3") {
			t.Errorf("%s: %v, and begins %.40q", name, err, content)
		}
	}
	topic, err := os.ReadFile(filepath.Join(dir, "cdds-chains.7"))
	if err != nil || !strings.Contains(string(topic), `"CDDS-CHAINS" "7"`) || !strings.Contains(string(topic), "cdds job chain nightly") {
		t.Errorf("the topic of chains has no man page of its own: %v, %.60q", err, topic)
	}
	sync, err := os.ReadFile(filepath.Join(dir, "cdds-sync.1"))
	if row := "\n  parquet:DIR       a file a month"; err != nil || !strings.Contains(string(sync), row) {
		t.Errorf("the table of destinations is not laid out as in help (%v)", err)
	}
}
