package objects

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStoreThatHasUsedTheSidecarGoesOnUsingIt(t *testing.T) {
	opts := Options{Dir: t.TempDir(), Sidecar: t.TempDir()}
	if !xattrsWork(opts.Dir) {
		t.Skip("the file system of the temporary directory has no user.* attributes")
	}
	if _, options, err := metadata(opts); err != nil || options.SideCarDir != "" {
		t.Errorf("a new store: sidecar %q, %v", options.SideCarDir, err)
	}
	if err := os.Mkdir(filepath.Join(opts.Sidecar, "bucket"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, options, err := metadata(opts); err != nil || options.SideCarDir != opts.Sidecar {
		t.Errorf("a store with a sidecar: sidecar %q, %v", options.SideCarDir, err)
	}
	if left, err := os.ReadDir(opts.Dir); err != nil || len(left) != 0 {
		t.Errorf("the probe left %v, %v", left, err)
	}
}
