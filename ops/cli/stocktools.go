package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"

	"cdds/pipeline/smime"
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

// readCertificates reads the certificates of a PEM or DER file.
func readCertificates(file string) ([]*x509.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return smime.ParseRecipients(content)
}
