package smime

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/smallstep/pkcs7"
)

// Limits on a signature: far above what any signer writes.
const (
	maxSignature      = 256 << 10 // bytes
	maxSignatureDepth = 32        // nested elements; certificates need about a dozen
)

// Sign returns a detached CMS SignedData in DER over content (RFC 5652 section
// 5): SHA-256, signed attributes with the signing time, and cert included. cert
// must be valid now and key its RSA or ECDSA private key.
func Sign(content []byte, cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	return SignDigest(sha256.Sum256(content), cert, key)
}

// SignDigest is Sign of content whose SHA-256 is known: so nobody has to hold it.
func SignDigest(sum [sha256.Size]byte, cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(key.Public()) {
		return nil, ErrKeyMismatch
	}
	algorithm := oidSHA256WithRSA
	if _, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		algorithm = oidECDSAWithSHA256
	}
	at, err := asn1.Marshal(time.Now().UTC())
	if err != nil {
		return nil, fmt.Errorf("smime: sign: %w", err)
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return nil, fmt.Errorf("smime: sign: %w", err)
	}
	attributes := [][]byte{
		attribute(oidContentType, objectID(oidData)),
		attribute(oidMessageDigest, element(tagOctetString, sum[:])),
		attribute(oidSigningTime, at),
	}
	slices.SortFunc(attributes, bytes.Compare) // DER orders the members of a set
	attributesSum := sha256.Sum256(element(tagSet, attributes...))
	signed, err := key.Sign(rand.Reader, attributesSum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("smime: sign: %w", err)
	}
	one, digest := []byte{tagInteger, 1, 1}, element(tagSequence, objectID(oidSHA256))
	signer := element(tagSequence,
		one, element(tagSequence, cert.RawIssuer, serial), digest, element(tagContext0|constructed, attributes...),
		element(tagSequence, objectID(algorithm)), element(tagOctetString, signed))
	return element(tagSequence, objectID(oidSignedData), element(tagContext0|constructed, element(tagSequence,
		one, element(tagSet, digest), element(tagSequence, objectID(oidData)),
		element(tagContext0|constructed, cert.Raw), element(tagSet, signer)))), nil
}

// attribute is a signed attribute of one value.
func attribute(id asn1.ObjectIdentifier, value []byte) []byte {
	return element(tagSequence, objectID(id), element(tagSet, value))
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
	return VerifyFrom(bytes.NewReader(content), signature)
}

// VerifyDigest is Verify of content whose SHA-256 is known. A signature with another digest is
// an [ErrSignature].
func VerifyDigest(sum [sha256.Size]byte, signature []byte) (signer *x509.Certificate, err error) {
	return verify(func(of crypto.Hash) ([]byte, error) {
		if of != crypto.SHA256 {
			return nil, fmt.Errorf("%w: its digest is not SHA-256", ErrSignature)
		}
		return sum[:], nil
	}, signature)
}

// VerifyFrom is Verify of content that is read once, to its end, and not held. An error of
// the reader is returned as it is.
func VerifyFrom(content io.Reader, signature []byte) (signer *x509.Certificate, err error) {
	return verify(func(of crypto.Hash) ([]byte, error) {
		sum := of.New()
		_, err := io.Copy(sum, content)
		return sum.Sum(nil), err
	}, signature)
}

// verify is Verify of content that has these digests.
func verify(digest func(crypto.Hash) ([]byte, error), signature []byte) (signer *x509.Certificate, err error) {
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
	hashed := &hasher{digest: digest}
	p7.Hasher = hashed
	if err := p7.Verify(); err != nil {
		var mismatch *pkcs7.MessageDigestMismatchError
		switch {
		case hashed.err != nil:
			return nil, hashed.err
		case errors.As(err, &mismatch):
			return nil, fmt.Errorf("%w: the content was changed after signing", ErrSignature)
		}
		return nil, fmt.Errorf("%w: %v", ErrSignature, err)
	}
	return p7.GetOnlySigner(), nil
}

// hasher digests the content in place of what the library would hold of it.
type hasher struct {
	digest func(crypto.Hash) ([]byte, error)
	err    error
}

// Hash implements pkcs7.Hasher.
func (h *hasher) Hash(of crypto.Hash, _ io.Reader) (sum []byte, err error) {
	sum, h.err = h.digest(of)
	return sum, h.err
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
