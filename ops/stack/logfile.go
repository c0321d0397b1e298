package stack

import (
	"errors"
	"os"
	"strings"
	"sync"
)

const (
	maxLog  = 4 << 20 // of one log file; there are two of them, .log and .log.1
	maxTail = 4 << 10 // what errors quote
)

// logFile is a child's log, of bounded size.
type logFile struct {
	mu   sync.Mutex
	path string
	f    *os.File
	size int64
	last []byte
}

func openLog(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &logFile{path: path, f: f, size: info.Size()}, nil
}

// Write appends p. A log that cannot be written must not stop the child, whose
// pipe would fill up, so it never fails.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > maxLog {
		l.rotate()
	}
	n, _ := l.f.Write(p)
	l.size += int64(n)
	l.last = append(l.last, p...)
	if excess := len(l.last) - maxTail; excess > 0 {
		l.last = append([]byte(nil), l.last[excess:]...)
	}
	return len(p), nil
}

func (l *logFile) rotate() {
	l.size = 0
	if os.Rename(l.path, l.path+".1") != nil {
		return
	}
	if f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err == nil {
		l.f.Close()
		l.f = f
	}
}

// tail is the end of what the child has said.
func (l *logFile) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.last))
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
