package smime

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// Limits on a signature: far above what any signer writes.
const (
	maxSignature      = 256 << 10 // bytes
	maxSignatureDepth = 32        // nested elements; certificates need about a dozen
)

// Sign returns a detached CMS SignedData in DER over content (RFC 5652 section
// 5): SHA-256, signed attributes with the signing time, and cert included. cert
// must be valid now and key its RSA or ECDSA private key. content is held in
// memory twice: sign manifests with it, not exports.
func Sign(content []byte, cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	if pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(key.Public()) {
		return nil, ErrKeyMismatch
	}
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("smime: sign: %w", err)
	}
	// Per message: the library's global default is SHA-1, and globals are for
	// nobody to change under others.
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("smime: sign: %w", err)
	}
	signed.Detach()
	signature, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("smime: sign: %w", err)
	}
	return signature, nil
}

// Verify checks a detached CMS SignedData over content and returns the
// certificate of its one signer, or an [ErrSignature]. The signature must be in
// DER, with signed attributes, and with SHA-256 or longer.
//
// A good signature proves that the holder of that certificate's key signed
// content, not who that is: anyone can make a certificate. The caller must
// compare it with a pinned one ([CheckSigner]) or build a chain to a root it
// trusts ([x509.Certificate.Verify] with ExtKeyUsageAny).
func Verify(content, signature []byte) (signer *x509.Certificate, err error) {
	// The library recurses without limit and panics on some malformed input.
	if len(signature) > maxSignature {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrSignature, maxSignature)
	}
	if !isDER(signature, maxSignatureDepth) {
		return nil, fmt.Errorf("%w: it is not DER", ErrSignature)
	}
	defer func() {
		if r := recover(); r != nil {
			signer, err = nil, fmt.Errorf("%w: its structure is unreadable", ErrSignature)
		}
	}()
	p7, err := pkcs7.Parse(signature)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	if err := checkSignedData(p7); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	p7.Content = content
	if err := p7.Verify(); err != nil {
		var mismatch *pkcs7.MessageDigestMismatchError
		if errors.As(err, &mismatch) {
			return nil, fmt.Errorf("%w: the content was changed after signing", ErrSignature)
		}
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	return p7.GetOnlySigner(), nil
}

// checkSignedData requires the form that [Sign] and openssl cms -sign write.
func checkSignedData(p7 *pkcs7.PKCS7) error {
	if len(p7.Signers) != 1 {
		return fmt.Errorf("it has %d signers, not one", len(p7.Signers))
	}
	if len(p7.Content) > 0 {
		return errors.New("it is not detached")
	}
	s := p7.Signers[0]
	// Without signed attributes, a signature over attributes also verifies as
	// one over content that looks like them.
	if len(s.AuthenticatedAttributes) == 0 {
		return errors.New("it has no signed attributes")
	}
	var contentType asn1.ObjectIdentifier
	if err := p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &contentType); err != nil || !contentType.Equal(oidData) {
		return errors.New("it does not sign plain data")
	}
	switch d := s.DigestAlgorithm.Algorithm; {
	case d.Equal(pkcs7.OIDDigestAlgorithmSHA256), d.Equal(pkcs7.OIDDigestAlgorithmSHA384), d.Equal(pkcs7.OIDDigestAlgorithmSHA512):
	default:
		return errors.New("its digest is not SHA-256 or longer")
	}
	switch a := s.DigestEncryptionAlgorithm.Algorithm; {
	case a.Equal(pkcs7.OIDEncryptionAlgorithmRSAMD5), a.Equal(pkcs7.OIDEncryptionAlgorithmRSASHA1), a.Equal(pkcs7.OIDDigestAlgorithmECDSASHA1):
		return errors.New("its signature algorithm is too weak")
	}
	return nil
}

// CheckSigner reports whether signer, as [Verify] returned it, is one of the
// pinned certificates, byte for byte; else the error is an [ErrUntrusted] with
// the signer's fingerprint.
func CheckSigner(signer *x509.Certificate, pinned ...*x509.Certificate) error {
	for _, p := range pinned {
		if bytes.Equal(signer.Raw, p.Raw) {
			return nil
		}
	}
	return fmt.Errorf("%w: SHA-256 fingerprint %s", ErrUntrusted, Fingerprint(signer))
}

// isDER reports whether b is one element of definite length, and so is all
// inside it, nested no deeper than depth.
func isDER(b []byte, depth int) bool {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	return err == nil && len(rest) == 0 && wellNested(v, depth)
}

func wellNested(v asn1.RawValue, depth int) bool {
	if !v.IsCompound {
		return true
	}
	if depth == 0 {
		return false
	}
	for b := v.Bytes; len(b) > 0; {
		var child asn1.RawValue
		var err error
		if b, err = asn1.Unmarshal(b, &child); err != nil || !wellNested(child, depth-1) {
			return false
		}
	}
	return true
}
