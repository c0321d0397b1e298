package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"

	"cdds/pipeline/bucket"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

const signatureType = "application/pkcs7-signature"

// Finish stores the manifest of an export whose parts are all stored, and its
// signature. If they are there already they are adopted; a stored manifest that
// lists other parts is a permanent error. Of the receipts, which are read more than once, it
// holds one at a time.
func (e *Exporter) Finish(ctx context.Context, x Export, topic schemas.Topic, receipts iter.Seq[schemas.Receipt]) (schemas.Completion, error) {
	x, err := e.redacting(x)
	if err != nil {
		return schemas.Completion{}, err
	}
	prefix := schemas.ExportPrefix(x.Filter.TenantID, x.ID)
	c := schemas.Completion{
		ManifestKey:  prefix + schemas.ManifestName,
		SignatureKey: prefix + schemas.SignatureName,
		Totals:       schemas.TotalOf(receipts),
	}
	writeOffs, err := WriteOffs{e.store}.All(ctx, topic, nil)
	if err != nil {
		return c, err
	}
	if err := e.take(ctx, x); err != nil {
		return c, err
	}
	m, err := e.manifest(ctx, x.Filter.TenantID, x.ID, nil)
	if errors.Is(err, bucket.ErrNotFound) {
		m, err = e.storeManifest(ctx, e.manifestOf(x, topic, writeOffs, c.Totals), x.shownReceipts(receipts))
	}
	if err != nil {
		return c, err
	}
	if m.Totals != c.Totals {
		return c, Permanent(fmt.Errorf("the stored manifest %s lists other parts than are stored", c.ManifestKey))
	}
	signature, signed, err := e.sign(ctx, c.SignatureKey, m)
	if err != nil {
		return c, err
	}
	c.ManifestBytes, c.ManifestSHA256 = m.size, hex.EncodeToString(m.sum[:])
	c.SignatureBytes, c.SignatureSHA256 = int64(len(signature)), digest(signature)
	if signed {
		c.SignerSHA256 = smime.Fingerprint(e.cert)
	}
	c.ExpiresAt, c.Chain = m.ExpiresAt, m.Chain
	return c, e.keepRun(ctx, x, &m.Manifest, c.ManifestSHA256, writeOffs)
}

// manifestOf is the manifest of an export without its parts.
func (e *Exporter) manifestOf(x Export, topic schemas.Topic, writeOffs []schemas.WriteOff, totals schemas.Totals) schemas.Manifest {
	now, lifetime := e.now(), x.Lifetime
	if lifetime == 0 {
		lifetime = e.lifetime(x.Filter.TenantID)
	}
	left := ""
	if x.WithoutAttachments {
		left = schemas.AttachmentsNone
	}
	return schemas.Manifest{
		Attachments: left,
		Version:     schemas.ManifestVersion, TenantID: x.Filter.TenantID, ExportID: x.ID,
		Filter: x.shownFilter(), Topic: topic, Snapshot: x.Snapshot,
		Since: x.since(), SinceExport: x.sinceExport(), Chain: x.Link.chain(x), FieldPolicy: x.appliedPolicy(), Names: x.Names,
		HistoryFrom: x.leavesOut(),
		WrittenOff:  schemas.Touching(writeOffs, x.since(), x.Snapshot),
		CreatedAt:   schemas.TimeOf(now), ExpiresAt: schemas.TimeOf(now.Add(lifetime)),
		Encoding: x.Encoding, Compression: stated(x.Compression), Cipher: cmp.Or(x.Cipher, schemas.CipherCBC), KeyTransport: cmp.Or(x.KeyTransport, schemas.KeyTransportPKCS1),
		Recipients: CertificateRefs(x.Recipients), Totals: totals,
	}
}

// storedManifest is a manifest as it is stored, without its parts.
type storedManifest struct {
	schemas.Manifest
	size int64
	sum  [sha256.Size]byte
}

// manifest reads the manifest of an export and gives each, if there is one, its parts; it is
// bucket.ErrNotFound if none is stored.
func (d Decisions) manifest(ctx context.Context, tenantID, exportID string, each func(schemas.Receipt) error) (m storedManifest, err error) {
	key := schemas.ExportPrefix(tenantID, exportID) + schemas.ManifestName
	r, err := d.Store.Open(ctx, key)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if each == nil {
		each = func(schemas.Receipt) error { return nil }
	}
	sum := sha256.New()
	content := &counter{r: io.TeeReader(io.LimitReader(r, schemas.MaxManifestBytes), sum)}
	read, err := schemas.ReadManifest(content, each)
	if err != nil {
		return m, unreadable(key, err)
	}
	m.Manifest, m.size = *read, content.n
	sum.Sum(m.sum[:0])
	return m, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// storeManifest stores a manifest with these parts, or reads the one that somebody else stored
// meanwhile.
func (e *Exporter) storeManifest(ctx context.Context, of schemas.Manifest, receipts iter.Seq[schemas.Receipt]) (m storedManifest, err error) {
	key := schemas.ExportPrefix(of.TenantID, of.ExportID) + schemas.ManifestName
	m.size, m.sum, err = putMade(ctx, e.store, key, func(w io.Writer) error { return schemas.WriteManifest(w, of, receipts) })
	if errors.Is(err, bucket.ErrExists) {
		return e.manifest(ctx, of.TenantID, of.ExportID, nil)
	}
	if err != nil {
		return m, err
	}
	head, err := schemas.Encode(of)
	if err != nil {
		return m, err
	}
	return m, decodeDocument(key, head, &m.Manifest) // as those who adopt it read it
}

// stated leaves out what is the default, as manifests did before there was a choice.
func stated(compression string) string {
	if compression == schemas.CompressionStandard {
		return ""
	}
	return compression
}

// sign stores the detached signature of the manifest as it is stored, or returns
// the one that is there, and whether it is of the service's own certificate.
func (e *Exporter) sign(ctx context.Context, key string, m storedManifest) (signature []byte, own bool, err error) {
	signature, err = e.store.GetBytes(ctx, key, maxDocument)
	if errors.Is(err, bucket.ErrNotFound) {
		if signature, err = smime.SignDigest(m.sum, e.cert, e.key); err != nil {
			return nil, false, Permanent(fmt.Errorf("sign the manifest: %w", err))
		}
		err = e.store.PutBytes(ctx, key, signature, signatureType)
		if errors.Is(err, bucket.ErrExists) {
			signature, err = e.store.GetBytes(ctx, key, maxDocument)
		}
	}
	if err != nil {
		return nil, false, err
	}
	signer, err := smime.VerifyDigest(m.sum, signature)
	return signature, err == nil && signer.Equal(e.cert), nil
}

// CertificateRefs identifies certificates without containing them.
func CertificateRefs(certs []*x509.Certificate) []schemas.CertificateRef {
	refs := make([]schemas.CertificateRef, len(certs))
	for i, c := range certs {
		refs[i] = schemas.CertificateRef{
			Fingerprint: smime.Fingerprint(c),
			Subject:     schemas.NameText(c.Subject),
			Issuer:      schemas.NameText(c.Issuer),
			Serial:      fmt.Sprintf("%x", c.SerialNumber),
			NotAfter:    schemas.TimeOf(c.NotAfter),
		}
	}
	return refs
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
