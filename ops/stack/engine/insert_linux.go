package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen gives a pipe 1 MiB instead of 64 KiB, for fewer switches between
// writer and engine. It is fine if the system refuses.
func widen(pipe *os.File) {
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
}
