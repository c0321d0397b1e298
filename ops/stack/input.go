package stack

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ownInput moves this process's standard input to another file, which it returns, and
// leaves an empty one in its place. libchdb looks at standard input before every INSERT:
// it makes it non-blocking, reads, and puts back the mode it found. Of two INSERTs at
// once, one could read after the other had put the mode back, and wait for ever for what
// the parent never says; or leave the pipe non-blocking, so that our own read of it failed
// when the process was continued after a pause, and the child took that for the end.
func ownInput() (*os.File, error) {
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer nothing.Close()
	fd, err := unix.FcntlInt(os.Stdin.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if err := unix.Dup2(int(nothing.Fd()), int(os.Stdin.Fd())); err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return os.NewFile(uintptr(fd), "the parent"), nil
}
