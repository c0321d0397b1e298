package receiver

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// ErrOutputExists reports that a file to be written is there already and is not
// what would be written. Entry names do not contain the export id, so decrypting
// two exports into one directory would mix them.
var ErrOutputExists = errors.New("the output directory holds another file of that name: choose an empty one")

// Decrypt verifies dir as Verify does, and only then writes the JSON Lines of every
// part into the directory out, which it makes if need be: one file for each part,
// named as in its zip, such as interaction-0001.jsonl, with mode 0600, complete or
// not there at all. Of a part with attachments that is the index, and the files it
// names are in a directory beside it, such as attachments-0002. What an earlier Decrypt of the same export wrote is kept, so an
// interrupted one can be repeated; any other file of such a name is an
// ErrOutputExists before anything is written.
//
// Nothing is written that the manifest does not cover: zip and JSON Lines must have
// exactly the sizes, digests and rows it states. cert and key are the receiver's;
// if the export is not sealed for cert the error is an smime.ErrNotRecipient.
// Violations are an *UnprovenError, as with Verify; parts without one are written
// all the same and listed in the Report. Memory stays at about a megabyte for each
// of Options.Parallel files, whatever their sizes, and some hashes for each part;
// disk space in out must suffice for the zips being worked on, beside the output.
func Decrypt(ctx context.Context, dir string, cert *x509.Certificate, key crypto.Decrypter, out string, o Options) (Report, error) {
	d, report, err := open(ctx, dir, cert, key, out, o)
	if err != nil {
		return report, err
	}
	return report, errors.Join(d.run(ctx, &report, out, o.parallel()), d.close())
}

// open verifies dir and makes out, which the caller closes.
func open(ctx context.Context, dir string, cert *x509.Certificate, key crypto.Decrypter, out string, o Options) (d *decryption, r Report, err error) {
	d = &decryption{cert: cert, key: key}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.in, err = os.OpenRoot(dir); err != nil {
		return d, r, err
	}
	if r, err = proof(d.in, o); err != nil {
		return d, r, err
	}
	if err := sealedFor(r.Manifest, cert, key); err != nil {
		return d, r, err
	}
	d.entity = r.Manifest.Filter.Entity
	// Every byte is read twice: once to verify, once to decrypt.
	d.progress = &progress{total: 2 * r.Manifest.Totals.SealedBytes, tell: o.Progress}
	if err := verifyParts(ctx, d.in, &r, o, d.progress); err != nil {
		return d, r, err
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return d, r, err
	}
	d.out, err = os.OpenRoot(out)
	return d, r, err
}

func (d *decryption) close() error {
	var errs []error
	for _, root := range []*os.Root{d.in, d.out} {
		if root != nil {
			errs = append(errs, root.Close())
		}
	}
	return errors.Join(errs...)
}

// sealedFor tells early and plainly what would otherwise fail part by part.
func sealedFor(m *schemas.Manifest, cert *x509.Certificate, key crypto.Decrypter) error {
	if pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(key.Public()) {
		return smime.ErrKeyMismatch
	}
	fingerprint := smime.Fingerprint(cert)
	if !slices.ContainsFunc(m.Recipients, func(r schemas.CertificateRef) bool { return r.Fingerprint == fingerprint }) {
		return fmt.Errorf("%w: the manifest does not list SHA-256 fingerprint %s", smime.ErrNotRecipient, fingerprint)
	}
	return nil
}

type decryption struct {
	in, out  *os.Root
	entity   string
	cert     *x509.Certificate
	key      crypto.Decrypter
	progress *progress
}

// entryName is the name of the JSON Lines in a part's zip: rows or index.
func (d *decryption) entryName(part schemas.Receipt) string {
	return schemas.EntryName(d.entity, part.Part)
}

func (d *decryption) run(ctx context.Context, r *Report, out string, parallel int) error {
	r.Kept, r.Written = newFiles(*r, out), newFiles(*r, out)
	var found findings
	err := r.atOnce(ctx, d.in, parallel, &found, func(ctx context.Context, part schemas.Receipt) error {
		kept, err := d.kept(ctx, part)
		if kept {
			r.Kept.add(part.Number)
		}
		return err
	})
	if err = cmp.Or(err, found.err()); err != nil {
		return err
	}
	err = r.atOnce(ctx, d.in, parallel, &found, func(ctx context.Context, part schemas.Receipt) error {
		if r.Kept.has(part.Number) {
			d.progress.add(schemas.Total([]schemas.Receipt{part}).SealedBytes)
			return nil
		}
		err := d.part(ctx, part)
		if err == nil {
			r.Written.add(part.Number)
		}
		return err
	})
	return cmp.Or(err, found.err())
}

// kept reports whether the output of a part is there already.
func (d *decryption) kept(ctx context.Context, part schemas.Receipt) (bool, error) {
	if part.Kind == schemas.KindAttachments {
		return d.keptAttachments(ctx, part)
	}
	return d.same(ctx, d.entryName(part), part.Bytes, part.JSONLSHA256)
}

// same reports whether the file is there; one with other content is an
// ErrOutputExists.
func (d *decryption) same(ctx context.Context, name string, wantSize int64, want string) (bool, error) {
	f, size, err := openRegular(d.out, name)
	var v *Violation
	switch {
	case errors.As(err, &v) && v.Rule == RuleMissing:
		return false, nil
	case errors.As(err, &v):
		return false, fmt.Errorf("%s: %w", name, ErrOutputExists)
	case err != nil:
		return false, err
	}
	defer f.Close()
	sum := sha256.New()
	if size == wantSize {
		// Not part of the progress: it is not what was announced.
		if _, err := io.Copy(sum, (&progress{}).reader(ctx, f)); err != nil {
			return false, fmt.Errorf("read %s: %w", name, err)
		}
	}
	if size != wantSize || matches(name, RuleContent, "its", sum, want) != nil {
		return false, fmt.Errorf("%s: %w", name, ErrOutputExists)
	}
	return true, nil
}

// part decrypts one part, from its sealed file to its JSON Lines file.
func (d *decryption) part(ctx context.Context, part schemas.Receipt) error {
	spool, discard, err := d.spool(ctx, part)
	if err != nil {
		return err
	}
	defer discard()
	if part.Kind == schemas.KindAttachments {
		return d.attachments(ctx, spool, part)
	}
	name := d.entryName(part)
	return d.place(name, func(w io.Writer) error { return unzip(ctx, w, spool, name, part) })
}

// spool decrypts the zip of a part. It goes to disk because its directory is at its end,
// and because nothing in it may be looked at before its digest is known. It goes into out
// because that is where the receiver has decided to have plaintext; a system's temporary
// directory is another disk, often memory, and shared with other people.
func (d *decryption) spool(ctx context.Context, part schemas.Receipt) (spool *os.File, discard func(), err error) {
	spool, discard, err = d.create("." + part.Name + ".zip-")
	if err != nil {
		return nil, nil, err
	}
	// Where an open file can go without its name, not even a kill leaves it behind.
	_ = d.out.Remove(filepath.Base(spool.Name()))
	if err := d.unseal(ctx, spool, part); err != nil {
		discard()
		return nil, nil, err
	}
	return spool, discard, nil
}

// create makes a temporary file in out that only its owner can read. discard
// closes and removes it, unless it was renamed.
func (d *decryption) create(prefix string) (f *os.File, discard func(), err error) {
	name := prefix + rand.Text()
	f, err = d.out.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return f, func() {
		f.Close()
		_ = d.out.Remove(name)
	}, nil
}

// unseal decrypts a part's file into spool and holds the zip to the manifest.
func (d *decryption) unseal(ctx context.Context, spool *os.File, part schemas.Receipt) error {
	zipSum := sha256.New()
	n, err := d.open(ctx, io.MultiWriter(spool, zipSum), part.Name, part.ZipBytes, part.SealedSHA256)
	if err != nil {
		return err
	}
	if n != part.ZipBytes {
		return violated(part.Name, RuleZip, "its zip does not have the %s that the manifest says", schemas.Counted(part.ZipBytes, "byte"))
	}
	return matches(part.Name, RuleZip, "its zip's", zipSum, part.ZipSHA256)
}

// open decrypts a sealed file to dst, at most a byte more than limit. It digests the file
// once more, which may have been changed since Verify.
func (d *decryption) open(ctx context.Context, dst io.Writer, name string, limit int64, sealedSHA256 string) (int64, error) {
	f, _, err := openRegular(d.in, name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sealedSum := sha256.New()
	sealed := io.TeeReader(d.progress.reader(ctx, f), sealedSum)
	content, err := smime.Decrypt(sealed, d.cert, d.key)
	if err != nil {
		return 0, unsealError(name, err)
	}
	n, err := io.CopyBuffer(dst, io.LimitReader(content, limit+1), make([]byte, 256<<10))
	if err != nil {
		return n, unsealError(name, err)
	}
	if _, err := io.Copy(io.Discard, sealed); err != nil {
		return n, fmt.Errorf("read %s: %w", name, err)
	}
	return n, matches(name, RuleDigest, "it was changed while it was read: its", sealedSum, sealedSHA256)
}

// unsealError tells a message that does not open from a disk that does not work.
func unsealError(name string, err error) error {
	for _, sealed := range []error{smime.ErrMalformed, smime.ErrUnsupported, smime.ErrDecrypt, smime.ErrNotRecipient} {
		if errors.Is(err, sealed) {
			return violated(name, RuleSealed, "%w", err)
		}
	}
	return fmt.Errorf("decrypt %s: %w", name, err)
}
