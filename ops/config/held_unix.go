//go:build unix

package config

import (
	"os"
	"path/filepath"
	"syscall"
)

// held reports whether a running stack holds the data directory. What one that was
// killed left behind would send credentials to whoever has its ports now.
func held(dataDir string) bool {
	f, err := os.Open(filepath.Join(dataDir, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	// A shared lock that is given back at once disturbs only a start in the
	// same instant, which would report it.
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
