package stack

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogStaysWithinItsBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	for range 2 { // the second time it goes on where it was
		l, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		line := append(bytes.Repeat([]byte("x"), 64<<10-1), '\n')
		for range 3 * maxLog / len(line) {
			if n, err := l.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		_, _ = l.Write([]byte("the end\n"))
		if tail := l.tail(); len(tail) > maxTail || !strings.HasSuffix(tail, "the end") {
			t.Errorf("a tail of %d bytes that ends in %q", len(tail), tail[max(0, len(tail)-10):])
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []string{path, path + ".1"} {
		if info, err := os.Stat(p); err != nil || info.Size() > maxLog+64<<10 {
			t.Errorf("%v, %v", info.Size(), err)
		}
	}
}
