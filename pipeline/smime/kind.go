package smime

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
)

// What files are that people take for certificates, and what to do.
const (
	aRequest   = "a certificate request (CSR), not a certificate; send it to your CA, and supply the certificate that comes back"
	aPublicKey = "a public key without a certificate; supply the certificate, or make one with cdds keygen or openssl req -x509"
	aPKCS7     = "a PKCS#7 bundle; take the certificate out of it with openssl pkcs7 -print_certs"
	aCRL       = "a list of revoked certificates (CRL), not a certificate"
	anSSHKey   = "a public key of SSH; supply an X.509 certificate, such as cdds keygen makes"
	aUTF16     = "text in UTF-16; save it as UTF-8"
)

var blockKinds = map[string]string{
	"CERTIFICATE REQUEST": aRequest, "NEW CERTIFICATE REQUEST": aRequest,
	"PUBLIC KEY": aPublicKey, "RSA PUBLIC KEY": aPublicKey,
	"PKCS7": aPKCS7, "PKCS #7 SIGNED DATA": aPKCS7, "CMS": aPKCS7,
	"X509 CRL":                  aCRL,
	"TRUSTED CERTIFICATE":       "a certificate in a form of openssl alone; convert it with openssl x509 -in FILE -out cert.pem",
	"ATTRIBUTE CERTIFICATE":     "an attribute certificate, which has no key",
	"SSH2 PUBLIC KEY":           anSSHKey,
	"PGP PUBLIC KEY BLOCK":      "an OpenPGP key; supply an X.509 certificate, such as cdds keygen makes",
	"DH PARAMETERS":             "parameters of Diffie-Hellman, not a certificate",
	"EC PARAMETERS":             "parameters of a curve, not a certificate",
	"SSH2 ENCRYPTED PUBLIC KEY": anSSHKey,
}

// kindOfBlock says what a PEM block is that is not a certificate.
func kindOfBlock(label string, n int) string {
	if kind, ok := blockKinds[label]; ok {
		return fmt.Sprintf("PEM block %d is %s", n, kind)
	}
	return fmt.Sprintf("PEM block %d is not a CERTIFICATE", n)
}

// kindOf says what bytes are that are not a certificate in DER, and otherwise if they are
// nothing it knows; err is why not.
func kindOf(data []byte, err error, otherwise string) string {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return "the file is empty"
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "it is " + aUTF16
	case bytes.HasPrefix(data, []byte("ssh-")), bytes.HasPrefix(data, []byte("ecdsa-sha2-")):
		return "it is " + anSSHKey
	}
	if _, err := x509.ParseCertificateRequest(data); err == nil {
		return "it is " + aRequest
	}
	if _, err := x509.ParsePKIXPublicKey(data); err == nil {
		return "it is " + aPublicKey
	}
	if _, err := x509.ParsePKCS1PublicKey(data); err == nil {
		return "it is " + aPublicKey
	}
	if _, err := x509.ParseRevocationList(data); err == nil {
		return "it is " + aCRL
	}
	var info contentInfo
	if _, err := asn1.Unmarshal(data, &info); err == nil && info.Type.Equal(oidSignedData) {
		return "it is " + aPKCS7
	}
	if looksLikeCertificate(data) {
		return "the certificate " + flawOf(err)
	}
	return otherwise
}

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// contentInfo is the outermost structure of PKCS#7 and CMS.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

// looksLikeCertificate finds what a certificate begins with and nothing behind it.
func looksLikeCertificate(der []byte) bool {
	var c struct{ TBS, Algorithm, Signature asn1.RawValue }
	rest, err := asn1.Unmarshal(der, &c)
	return err == nil && len(rest) == 0 && c.TBS.Tag == asn1.TagSequence && c.Algorithm.Tag == asn1.TagSequence && c.Signature.Tag == asn1.TagBitString
}

// flaws of certificates that other software takes, by what crypto/x509 says of them.
var flaws = []struct{ said, flaw string }{
	{"negative serial number", "has a negative serial number, which X.509 forbids (RFC 5280 section 4.1.2.2); ask its issuer for one with a positive number"},
	{"invalid PrintableString", "has a name of type PrintableString with characters that type does not have, such as @, & or _; ask its issuer for one with names in UTF8String"},
	{"missing NULL parameters", "has an RSA key without the NULL parameters that RFC 3279 section 2.3.1 demands; ask its issuer for one that has them"},
	{"trailing data", "has more behind it in the same block; supply it alone"},
}

// flawOf says what is wrong with a certificate that crypto/x509 does not read, without
// repeating what it holds.
func flawOf(err error) string {
	for _, f := range flaws {
		if strings.Contains(err.Error(), f.said) {
			return f.flaw
		}
	}
	return "is not X.509 as RFC 5280 defines it; copy it again, or ask its issuer for another"
}

// isPKCS12 recognises the beginning of a PKCS#12 container: version 3 and a ContentInfo.
// Some programs write its length as indefinite, in BER.
func isPKCS12(der []byte) bool {
	if bytes.HasPrefix(der, []byte{0x30, 0x80, 0x02, 0x01, 0x03, 0x30}) {
		return true
	}
	var pfx struct {
		Version  int
		AuthSafe contentInfo
		MacData  asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &pfx)
	return err == nil && pfx.Version == 3 && len(pfx.AuthSafe.Type) > 0
}
