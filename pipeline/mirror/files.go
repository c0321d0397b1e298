package mirror

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/gofrs/flock"
)

// Files is a folder with the contents of attachments, each named after its SHA-256, so that
// equal contents are one file. A file is removed when no attachment refers to it.
type Files struct {
	root *os.Root
	// suspects is the list of files that may belong to nothing: those that were written or
	// released since the last sweep.
	suspects *os.File
	lock     *flock.Flock
}

// suspectsName is the file with the suspects, which outlives the process.
const suspectsName = ".suspects"

// OpenFiles opens a folder, which it makes if need be. It is ErrInUse while another process
// has it open. The caller closes it.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, ".lock"))
	if locked, err := lock.TryLock(); err != nil {
		return nil, err
	} else if !locked {
		return nil, fmt.Errorf("%w (%s is locked)", ErrInUse, lock.Path())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	suspects, err := root.OpenFile(suspectsName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(err, root.Close(), lock.Unlock())
	}
	if _, err := suspects.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, suspects.Close(), root.Close(), lock.Unlock())
	}
	return &Files{root, suspects, lock}, nil
}

// Close closes the folder.
func (f *Files) Close() error {
	return errors.Join(f.suspects.Close(), f.root.Close(), f.lock.Unlock())
}

var filePattern = regexp.MustCompile(`^[0-9a-f]{2}/[0-9a-f]{64}$`)

// put stores a content of that digest, unless it is there, and returns its name.
func (f *Files) put(sha256 string, size int64, write func(io.Writer) error) (string, error) {
	name := fmt.Sprintf("%.2s/%s", sha256, sha256)
	if !filePattern.MatchString(name) {
		return "", fmt.Errorf("%.80q is no SHA-256", sha256)
	}
	if info, err := f.root.Lstat(name); err == nil && info.Mode().IsRegular() && info.Size() == size {
		return name, nil // it got its name when it was whole
	}
	if err := f.suspect(name); err != nil {
		return "", err
	}
	if err := f.root.Mkdir(name[:2], 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	draft := ".draft-" + rand.Text()
	file, err := f.root.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.root.Remove(draft) }() // unless it was renamed
	if err := errors.Join(write(file), file.Sync(), file.Close()); err != nil {
		return "", err
	}
	return name, f.root.Rename(draft, name)
}

// suspect notes that a file may belong to nothing.
func (f *Files) suspect(name string) error {
	_, err := f.suspects.WriteString(name + "\n")
	return err
}

// sync makes sure that the suspects outlive even a power cut.
func (f *Files) sync() error { return f.suspects.Sync() }

// sweepAtOnce bounds how many files are asked about in one go.
const sweepAtOnce = 1000

// sweep removes the suspects that unreferenced returns, and forgets all of them.
func (f *Files) sweep(unreferenced func([]string) ([]string, error)) error {
	end, err := f.suspects.Seek(0, io.SeekCurrent)
	if err != nil || end == 0 {
		return err
	}
	var some []string
	remove := func() error {
		gone, err := unreferenced(some)
		if err != nil {
			return err
		}
		for _, name := range gone {
			if err := f.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		some = some[:0]
		return nil
	}
	lines := bufio.NewReader(io.NewSectionReader(f.suspects, 0, end))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // what has no end was being written when the process ended, and names no file yet
		}
		if err != nil {
			return err
		}
		if name := string(bytes.TrimSuffix(line, []byte("\n"))); filePattern.MatchString(name) {
			some = append(some, name)
		}
		if len(some) == sweepAtOnce {
			if err := remove(); err != nil {
				return err
			}
		}
	}
	if err := remove(); err != nil {
		return err
	}
	if err := f.suspects.Truncate(0); err != nil {
		return err
	}
	_, err = f.suspects.Seek(0, io.SeekStart)
	return err
}
