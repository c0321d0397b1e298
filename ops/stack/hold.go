package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// lockDir makes this process the only one that uses dir, until it closes the
// lock or ends.
func lockDir(dir string) (io.Closer, error) {
	f, err := tryLock(filepath.Join(dir, "lock"))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := os.ReadFile(filepath.Join(dir, "lock"))
		return nil, fmt.Errorf("the embedded stack in %s is in use by process %s; stop that process or use another directory", dir, strings.TrimSpace(string(holder)))
	}
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tryLock takes an exclusive lock on a file, or returns EWOULDBLOCK.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}

// waitLock takes the lock of a child's data, which the child of a stack killed
// a moment ago may still hold.
func waitLock(ctx context.Context, path string) (io.Closer, error) {
	for {
		f, err := tryLock(path)
		if err == nil {
			// The program this process may become goes on holding it.
			_, err = unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
			return f, err
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another process uses the data: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// socket is a bound socket that does not listen.
type socket int

// Close releases the port.
func (s socket) Close() error { return syscall.Close(int(s)) }

// reserve binds a port on 127.0.0.1, any free one for 0. A child can still
// listen on it, as both set SO_REUSEADDR, but the kernel hands it to nobody.
func reserve(port int) (io.Closer, int, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, 0, err
	}
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	var bound syscall.Sockaddr
	if err == nil {
		bound, err = syscall.Getsockname(fd)
	}
	if err != nil {
		return nil, 0, errors.Join(err, syscall.Close(fd))
	}
	return socket(fd), bound.(*syscall.SockaddrInet4).Port, nil
}

// keys of the S3 gateway, kept so that they stay the same over restarts.
type keys struct{ AccessKey, SecretKey string }

func loadKeys(path string) (keys, error) {
	var k keys
	text, err := os.ReadFile(path)
	if err == nil {
		if json.Unmarshal(text, &k) != nil || k.AccessKey == "" || k.SecretKey == "" {
			return k, fmt.Errorf("%s does not hold the keys of the embedded S3; remove it to have new ones made", path)
		}
		return k, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return k, err
	}
	k = keys{AccessKey: "cdds" + rand.Text()[:16], SecretKey: rand.Text() + rand.Text()[:14]}
	if text, err = json.Marshal(k); err != nil {
		return k, err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return k, err
	}
	return k, os.Rename(path+".new", path)
}
