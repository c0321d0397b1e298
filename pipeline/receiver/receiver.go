// Package receiver is what the one who asked for an export does with it: Verify
// that a downloaded directory is the whole export and nothing else, and Decrypt it.
//
// It trusts nothing in the directory before the manifest's signature holds, and
// nothing the manifest does not cover after that. It needs no service: only the
// directory, the receiver's key pair, and best of all a pin of who may sign.
package receiver

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"cdds/schemas"
)

// Options shape Verify and Decrypt. The zero value works, but pins no signer.
type Options struct {
	// Signers and Fingerprints pin who may have signed the manifest: certificates,
	// or the SHA-256 of a certificate's DER form in lower-case hex. Without either,
	// a good signature by anyone passes and Report.Pinned is false: that proves
	// the export is as it was signed, not who signed it.
	Signers      []*x509.Certificate
	Fingerprints []string
	// Expected pins which export it is: a good one of another is not what was to come.
	Expected Expected
	// Parallel bounds the files worked on at once; 0 means one per CPU.
	Parallel int
	// Progress is called with how many bytes of all that must be read have been read; nil
	// tells nobody. Calls do not overlap.
	Progress func(done, total int64)
}

func (o Options) parallel() int {
	if o.Parallel > 0 {
		return o.Parallel
	}
	return runtime.GOMAXPROCS(0)
}

// Report says what was found, as far as it got.
type Report struct {
	// Manifest is nil unless its signature holds. It is without its Parts: PartsIn gives them one
	// after the other.
	Manifest *schemas.Manifest
	// Parts counts those of the manifest.
	Parts PartCounts
	// ManifestSHA256 is the digest of its file, by which the next run of a chain names it.
	ManifestSHA256 string
	// Signer is who signed it; Pinned whether that is who was asked for. Without
	// Pinned, compare Signer's fingerprint with one got another way.
	Signer *x509.Certificate
	Pinned bool
	// Verified counts the parts that are exactly as the manifest says.
	Verified int
	// Written are the JSON Lines files that Decrypt made, Kept those that an
	// earlier Decrypt had made.
	Written, Kept *Files

	listed *listing
}

// progress counts the bytes read by any number of goroutines.
type progress struct {
	mu          sync.Mutex
	done, total int64
	tell        func(done, total int64)
}

func (p *progress) add(n int64) {
	if p.tell == nil || n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.tell(p.done, p.total)
}

// reader counts what is read from r, and fails once ctx is done.
func (p *progress) reader(ctx context.Context, r io.Reader) io.Reader {
	return &countedReader{ctx, r, p}
}

type countedReader struct {
	ctx context.Context
	r   io.Reader
	p   *progress
}

func (c *countedReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	c.p.add(int64(n))
	return n, err
}

// openRegular opens a file that must be a regular one, not a link to one: a link
// may point anywhere by the time it is read again. The caller closes the file.
func openRegular(root *os.Root, name string) (*os.File, int64, error) {
	before, err := root.Lstat(name)
	if os.IsNotExist(err) {
		return nil, 0, violated(name, RuleMissing, "it is not there")
	}
	if err != nil {
		return nil, 0, err
	}
	if !before.Mode().IsRegular() {
		return nil, 0, violated(name, RuleKind, "it is %s, not a regular file", kind(before.Mode()))
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if !os.SameFile(before, info) {
		f.Close()
		return nil, 0, fmt.Errorf("%s was replaced while it was opened", name)
	}
	return f, info.Size(), nil
}

func kind(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&os.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a device, pipe or socket"
}
