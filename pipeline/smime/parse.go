package smime

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
)

// maxCertificateFile bounds an uploaded certificate file in bytes.
const maxCertificateFile = 1 << 20

// ParseRecipients reads a certificate file: PEM with one or more CERTIFICATE
// blocks, or one certificate in DER. It does not judge them; that is for
// [CheckRecipient].
//
// A file that holds a private key in any form, alone or beside certificates
// (PEM, PKCS#1, PKCS#8 plain or encrypted, SEC 1, OpenSSH, PuTTY), is refused with
// [ErrPrivateKey], PKCS#12 with [ErrPKCS12], everything else with [ErrNoCertificate],
// which says what the file is. No error repeats any byte of the file.
func ParseRecipients(data []byte) ([]*x509.Certificate, error) {
	if isPKCS12(data) {
		return nil, ErrPKCS12
	}
	if namesPrivateKey(data) || holdsPrivateKey(data) {
		return nil, ErrPrivateKey
	}
	if len(data) > maxCertificateFile {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrNoCertificate, maxCertificateFile)
	}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		cert, err := x509.ParseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrNoCertificate, kindOf(data, err,
				"it is neither PEM nor one certificate in DER; convert other forms with openssl x509"))
		}
		return []*x509.Certificate{cert}, nil
	}
	return parsePEM(data)
}

func parsePEM(data []byte) ([]*x509.Certificate, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // Windows editors add it, pem.Decode stumbles over it
	var certs []*x509.Certificate
	var bad error
	for n := 1; ; n++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if holdsPrivateKey(block.Bytes) { // whatever the label says
			return nil, ErrPrivateKey
		}
		if bad != nil {
			continue // only private keys matter now
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			bad = fmt.Errorf("%w: %s", ErrNoCertificate, kindOfBlock(block.Type, n))
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			bad = fmt.Errorf("%w: PEM block %d: %s", ErrNoCertificate, n, kindOf(block.Bytes, err, "the certificate is damaged; copy it whole, or ask its issuer for another"))
			continue
		}
		certs = append(certs, cert)
	}
	if bad == nil && (len(certs) == 0 || bytes.Contains(data, []byte("-----BEGIN "))) {
		bad = fmt.Errorf("%w: a PEM block is damaged, copy it whole from BEGIN to END", ErrNoCertificate)
	}
	if bad != nil {
		return nil, bad
	}
	return certs, nil
}

// namesPrivateKey finds the labels of textual keys. It does not depend on the
// rest being in order: pem.Decode skips a damaged block, yet its key is exposed.
func namesPrivateKey(data []byte) bool {
	upper := bytes.ToUpper(data)
	return bytes.Contains(upper, []byte("PRIVATE KEY")) && bytes.Contains(upper, []byte("-----BEGIN")) ||
		bytes.HasPrefix(upper, []byte("PUTTY-USER-KEY-FILE"))
}

// holdsPrivateKey recognises binary private keys by their first elements, so
// that damage further on does not let one pass. A certificate begins SEQUENCE {
// SEQUENCE { [0] or INTEGER, a public key SEQUENCE { SEQUENCE or long INTEGER.
func holdsPrivateKey(der []byte) bool {
	for len(der) > 0 {
		var outer, first, second asn1.RawValue
		rest, err := asn1.Unmarshal(der, &outer)
		if err != nil || outer.Class != asn1.ClassUniversal || outer.Tag != asn1.TagSequence {
			return false
		}
		inner, err := asn1.Unmarshal(outer.Bytes, &first)
		if err != nil {
			return false
		}
		if first.Class == asn1.ClassUniversal && first.Tag == asn1.TagInteger && len(first.Bytes) == 1 && first.Bytes[0] <= 3 {
			return true // a version: PKCS#1 and PKCS#8 0 or 1, SEC 1 1, PKCS#12 3
		}
		if _, err := asn1.Unmarshal(inner, &second); err == nil &&
			first.Tag == asn1.TagSequence && second.Class == asn1.ClassUniversal && second.Tag == asn1.TagOctetString {
			return true // EncryptedPrivateKeyInfo, RFC 5958 section 3
		}
		der = rest
	}
	return false
}
