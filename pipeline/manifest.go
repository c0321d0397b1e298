package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"cdds/pipeline/bucket"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

const signatureType = "application/pkcs7-signature"

// Finish stores the manifest of an export whose parts are all stored, and its
// signature. If they are there already they are adopted; a stored manifest that
// lists other parts is a permanent error.
func (e *Exporter) Finish(ctx context.Context, x Export, topic schemas.Topic, receipts []schemas.Receipt) (schemas.Completion, error) {
	prefix := schemas.ExportPrefix(x.Filter.TenantID, x.ID)
	c := schemas.Completion{
		ManifestKey:  prefix + schemas.ManifestName,
		SignatureKey: prefix + schemas.SignatureName,
		Totals:       schemas.Total(receipts),
	}
	writeOffs, err := WriteOffs{e.store}.All(ctx, topic, nil)
	if err != nil {
		return c, err
	}
	if err := e.take(ctx, x); err != nil {
		return c, err
	}
	var m schemas.Manifest
	content, err := once(ctx, e.store, c.ManifestKey, &m, func() (schemas.Manifest, error) {
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
			Filter: x.Filter, Topic: topic, Snapshot: x.Snapshot,
			Since: x.since(), SinceExport: x.sinceExport(), Chain: x.Link.chain(x.Filter),
			HistoryFrom: x.leavesOut(),
			WrittenOff:  schemas.Touching(writeOffs, x.since(), x.Snapshot),
			CreatedAt:   schemas.TimeOf(now), ExpiresAt: schemas.TimeOf(now.Add(lifetime)),
			Encoding: x.Encoding, Compression: stated(x.Compression), Cipher: cmp.Or(x.Cipher, schemas.CipherCBC), KeyTransport: cmp.Or(x.KeyTransport, schemas.KeyTransportPKCS1),
			Recipients: CertificateRefs(x.Recipients), Parts: receipts, Totals: c.Totals,
		}, nil
	})
	if err != nil {
		return c, err
	}
	if m.Totals != c.Totals {
		return c, Permanent(fmt.Errorf("the stored manifest %s lists other parts than are stored", c.ManifestKey))
	}
	signature, err := e.sign(ctx, c.SignatureKey, content)
	if err != nil {
		return c, err
	}
	c.ManifestBytes, c.ManifestSHA256 = int64(len(content)), digest(content)
	c.SignatureBytes, c.SignatureSHA256 = int64(len(signature)), digest(signature)
	if signer, err := smime.Verify(content, signature); err == nil && signer.Equal(e.cert) {
		c.SignerSHA256 = smime.Fingerprint(signer)
	}
	c.ExpiresAt, c.Chain = m.ExpiresAt, m.Chain
	return c, e.keepRun(ctx, x, &m, c.ManifestSHA256, writeOffs)
}

// stated leaves out what is the default, as manifests did before there was a choice.
func stated(compression string) string {
	if compression == schemas.CompressionStandard {
		return ""
	}
	return compression
}

// sign stores the detached signature of the manifest as it is stored, or returns
// the one that is there.
func (e *Exporter) sign(ctx context.Context, key string, manifest []byte) ([]byte, error) {
	signature, err := e.store.GetBytes(ctx, key, maxDocument)
	if !errors.Is(err, bucket.ErrNotFound) {
		return signature, err
	}
	signature, err = smime.Sign(manifest, e.cert, e.key)
	if err != nil {
		return nil, Permanent(fmt.Errorf("sign the manifest: %w", err))
	}
	err = e.store.PutBytes(ctx, key, signature, signatureType)
	if errors.Is(err, bucket.ErrExists) {
		return e.store.GetBytes(ctx, key, maxDocument)
	}
	return signature, err
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
