package receiver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// Limits on the documents that prove an export, in bytes: what a service writes at
// most, so that a directory cannot make its reader run out of memory.
const (
	maxManifest  = schemas.MaxManifestBytes
	maxSignature = 256 << 10
)

// sealedSuffix is what makes a file look like a part.
const sealedSuffix = ".p7m"

// Verify proves that dir holds exactly the export its signed manifest describes:
// the signature holds (and is by a pinned signer, if Options pins one), and every
// part is there as a regular file of the stated size and SHA-256, with no other
// *.p7m beside them. Files of other names are left alone; they are not the
// export's. It decrypts nothing and needs no key.
//
// A directory that is not such an export is an *UnprovenError with every violation
// found; while the manifest itself is in doubt, only what is wrong with that, since
// nothing else can be judged by it. Other errors say that files could not be read,
// or are ctx's. Of the parts it holds no more than hashes.
func Verify(ctx context.Context, dir string, o Options) (Report, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = root.Close() }()
	report, err := proof(root, o)
	if err != nil {
		return report, err
	}
	p := &progress{total: report.Manifest.Totals.SealedBytes, tell: o.Progress}
	return report, verifyParts(ctx, root, &report, o, p)
}

// proof reads the manifest and its signature and verifies them.
func proof(root *os.Root, o Options) (Report, error) {
	var found findings
	content, err := openBounded(root, schemas.ManifestName, maxManifest, RuleManifest)
	if err := found.take(err); err != nil {
		return Report{}, err
	}
	if content != nil {
		defer content.Close()
	}
	signature, err := readBounded(root, schemas.SignatureName, maxSignature, RuleSignature)
	if err := found.take(err); err != nil {
		return Report{}, err
	}
	if err := found.err(); err != nil {
		return Report{}, err
	}
	report, err := readManifest(content, signature, o)
	if err := found.take(err); err != nil {
		return report, err
	}
	if report.Manifest != nil {
		o.Expected.check(report.Manifest, &found)
	}
	return report, found.err()
}

// readManifest returns what a manifest says but for its parts, once its signature holds, and notes
// the files it lists. The file is read three times: for the signature, for all but the parts, and
// for the parts, which are checked by the rest. An error is a *Violation, unless the file cannot be
// read.
func readManifest(content *os.File, signature []byte, o Options) (r Report, err error) {
	signed := sha256.New()
	signer, err := smime.VerifyFrom(io.TeeReader(io.LimitReader(content, maxManifest), signed), signature)
	switch {
	case errors.Is(err, smime.ErrSignature):
		return r, violated(schemas.SignatureName, RuleSignature, "%w", err)
	case err != nil:
		return r, fmt.Errorf("read %s: %w", schemas.ManifestName, err)
	}
	r = Report{Signer: signer, Pinned: len(o.Signers)+len(o.Fingerprints) > 0}
	if r.Pinned && !slices.Contains(o.Fingerprints, smime.Fingerprint(signer)) {
		if err := smime.CheckSigner(signer, o.Signers...); err != nil {
			r.Pinned = false
			return r, violated(schemas.SignatureName, RuleSigner, "%w", err)
		}
	}
	sum := hex.EncodeToString(signed.Sum(nil))
	var listed *listing
	m, err := consistent(content, sum, func(m *schemas.Manifest) func(schemas.Receipt) error {
		listed = newListing(m.Totals.Parts)
		return listed.add
	})
	if err != nil {
		return r, err
	}
	r.Manifest, r.ManifestSHA256, r.Parts, r.listed = m, sum, listed.parts, listed
	return r, nil
}

// verifyParts compares the files in root with the manifest of r, several at once.
func verifyParts(ctx context.Context, root *os.Root, r *Report, o Options, p *progress) error {
	var found findings
	if err := notListed(root, r.listed, &found); err != nil {
		return err
	}
	var verified atomic.Int64
	err := r.atOnce(ctx, root, o.parallel(), &found, func(ctx context.Context, part schemas.Receipt) error {
		ok, err := verifyPart(ctx, root, part, p, &found)
		if ok {
			verified.Add(1)
		}
		return err
	})
	r.Verified = int(verified.Load())
	if err != nil {
		return err
	}
	return found.err()
}

// verifyPart verifies the file of a part and those of its segments, and reports whether all
// are as they must be.
func verifyPart(ctx context.Context, root *os.Root, part schemas.Receipt, p *progress, found *findings) (bool, error) {
	bad := verifyFile(ctx, root, part.Name, part.SealedBytes, part.SealedSHA256, p)
	ok, err := bad == nil, found.take(bad)
	for _, s := range part.Segments {
		if err != nil {
			break
		}
		bad = verifyFile(ctx, root, s.Name, s.SealedBytes, s.SealedSHA256, p)
		ok, err = ok && bad == nil, found.take(bad)
	}
	return ok, err
}

func verifyFile(ctx context.Context, root *os.Root, name string, wantSize int64, want string, p *progress) error {
	f, size, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if size != wantSize {
		return violated(name, RuleSize, "it has %s where the manifest says %d", schemas.Counted(size, "byte"), wantSize)
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, p.reader(ctx, f), make([]byte, 256<<10)); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return matches(name, RuleDigest, "its", sum, want)
}

// matches compares a digest with the one in the manifest.
func matches(name string, rule Rule, whose string, sum hash.Hash, want string) error {
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return violated(name, rule, "%s SHA-256 is %s where the manifest says %s", whose, got, want)
	}
	return nil
}

// notListed finds sealed files that the manifest does not list.
func notListed(root *os.Root, listed *listing, found *findings) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1000)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the directory: %w", err)
		}
		for _, e := range entries {
			if name := e.Name(); looksSealed(e) && !listed.hasName(name) {
				if err := found.take(violated(name, RuleNotListed, "it is not in the manifest")); err != nil {
					return err
				}
			}
		}
	}
}

// looksSealed includes letter case, for file systems that do not tell it apart.
func looksSealed(e fs.DirEntry) bool {
	return strings.HasSuffix(strings.ToLower(e.Name()), sealedSuffix)
}

// openBounded opens a document of at most limit bytes.
func openBounded(root *os.Root, name string, limit int64, rule Rule) (*os.File, error) {
	f, size, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	if size > limit {
		f.Close()
		return nil, violated(name, rule, "it has %d bytes; the limit is %d", size, limit)
	}
	return f, nil
}

// readBounded reads a whole document of at most limit bytes.
func readBounded(root *os.Root, name string, limit int64, rule Rule) ([]byte, error) {
	f, err := openBounded(root, name, limit, rule)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
