//go:build !receiver && !production

package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"cdds/schemas"
)

// digests is a multiset of lines, by SHA-256.
type digests map[[sha256.Size]byte]int

func (d digests) add(line []byte)          { d[sha256.Sum256(line)]++ }
func (d digests) equal(other digests) bool { return maps.Equal(d, other) }

func (d digests) lines() int {
	n := 0
	for _, k := range d {
		n += k
	}
	return n
}

// openWithStockTools decrypts one part with this machine's openssl, reads it with
// unzip, and adds its lines to came. It shows that a receiver needs nothing of ours.
func openWithStockTools(ctx context.Context, part, cert, key string, came digests) error {
	zipped := part + ".zip"
	defer func() { _ = os.Remove(zipped) }()
	if err := tool(ctx, nil, "openssl", "cms", "-decrypt", "-in", part, "-recip", cert, "-inkey", key, "-out", zipped); err != nil {
		return err
	}
	return tool(ctx, func(r io.Reader) error {
		lines := bufio.NewReaderSize(r, 1<<20)
		for {
			line, err := lines.ReadBytes('\n')
			if len(line) > 0 {
				came.add(line[:len(line)-1])
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}, "unzip", "-p", zipped)
}

// openAttachments decrypts a part with attachments with openssl, unpacks it with unzip,
// and holds every file to the index.
func openAttachments(ctx context.Context, part, cert, key string, r schemas.Receipt) error {
	zipped, dir := part+".zip", part+".files"
	defer func() { _ = os.Remove(zipped); _ = os.RemoveAll(dir) }()
	if err := tool(ctx, nil, "openssl", "cms", "-decrypt", "-in", part, "-recip", cert, "-inkey", key, "-out", zipped); err != nil {
		return err
	}
	if err := tool(ctx, nil, "unzip", "-q", zipped, "-d", dir); err != nil {
		return err
	}
	index, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s-%04d.jsonl", r.Kind, r.Number)))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(index), "\n"), "\n")
	if int64(len(lines)) != r.Rows {
		return unproven(fmt.Errorf("%s lists %s, not %d", part, schemas.Counted(len(lines), "attachment"), r.Rows))
	}
	for _, text := range lines {
		var line schemas.AttachmentLine
		if err := schemas.Read([]byte(text), &line); err != nil {
			return unproven(err)
		}
		if line.Problem != "" {
			return unproven(fmt.Errorf("attachment %s of %s: %s", line.AttachmentID, line.InteractionID, line.Problem))
		}
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(line.File)))
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != line.SHA256 {
			return unproven(fmt.Errorf("%s is not what its index says", line.File))
		}
	}
	return nil
}

// tool runs a command and hands its output to read, if given.
func tool(ctx context.Context, read func(io.Reader) error, name string, args ...string) error {
	if _, err := exec.LookPath(name); err != nil {
		return withHint(fmt.Errorf("%s is not installed", name), "install it with your package manager, such as: apt-get install "+name)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if read != nil {
		err = read(stdout)
	}
	if waited := cmd.Wait(); waited != nil {
		err = fmt.Errorf("%s: %w: %s", name, waited, strings.TrimSpace(stderr.String()))
	}
	return err
}
