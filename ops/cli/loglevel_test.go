//go:build !receiver

package cli

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestASignalSwitchesTheLogLevelAndBack(t *testing.T) {
	in, out := io.Pipe()
	var level slog.LevelVar
	level.Set(slog.LevelError)
	lines := bufio.NewScanner(in)
	switchLevel(t.Context(), &level, slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: &level})))
	for _, want := range []string{"level=DEBUG", "level=ERROR"} {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("it says %q, want %s", lines.Text(), want)
		}
	}
}
