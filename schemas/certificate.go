package schemas

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// Certificate is a recipient's certificate registered for a tenant, on
// cdds.certificates: the last version (see Versions) says what it is. It never holds a
// private key.
type Certificate struct {
	TenantID string `json:"tenant_id"`
	// Fingerprint is the SHA-256 of the DER certificate in lower-case hex.
	Fingerprint string `json:"fingerprint"`
	// Name is what people call it.
	Name string `json:"name,omitempty"`
	// PEM is the certificate itself: one CERTIFICATE block.
	PEM string `json:"pem"`
	// What follows is read from the certificate, for those who do not parse it.
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Serial is the serial number in lower-case hex.
	Serial string `json:"serial"`
	// KeyBits is the size of the RSA key, 0 for other keys.
	KeyBits int `json:"key_bits"`
	// KeyUsage is what the certificate states, in the words of RFC 5280; empty if nothing.
	KeyUsage  []string `json:"key_usage,omitempty"`
	NotBefore Time     `json:"not_before"`
	NotAfter  Time     `json:"not_after"`

	AddedAt Time   `json:"added_at"`
	AddedBy string `json:"added_by,omitempty"`
	// ReplacedBy is the fingerprint of the certificate that is used in its stead.
	ReplacedBy string `json:"replaced_by,omitempty"`
	// Removed says that nothing is sealed for it any more.
	Removed   bool   `json:"removed,omitempty"`
	UpdatedAt Time   `json:"updated_at"`
	UpdatedBy string `json:"updated_by,omitempty"`
	// Revision counts the versions of the registration from 1. 0, or none, replaces
	// whatever version there is.
	Revision int `json:"revision,omitempty"`
}

// Version is the revision.
func (c *Certificate) Version() int64 { return int64(c.Revision) }

// Replacements is a fingerprint and, in turn, those of the certificates that replaced it,
// as far as they are registered: the last is the one to seal for, and without any of them
// it cannot be found.
func Replacements(fingerprint string, registered []Certificate) []string {
	chain := []string{fingerprint}
	for range registered { // no chain is longer
		i := slices.IndexFunc(registered, func(c Certificate) bool { return c.Fingerprint == chain[len(chain)-1] })
		if i < 0 || registered[i].ReplacedBy == "" {
			break
		}
		chain = append(chain, registered[i].ReplacedBy)
	}
	return chain
}

// NewCertificate is the registration of cert for a tenant, by by at now. It does not
// judge whether cert may be used.
func NewCertificate(tenantID string, cert *x509.Certificate, by string, now Time) *Certificate {
	sum := sha256.Sum256(cert.Raw)
	c := &Certificate{
		TenantID: tenantID, Fingerprint: hex.EncodeToString(sum[:]),
		PEM:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		Subject: NameText(cert.Subject), Issuer: NameText(cert.Issuer), Serial: fmt.Sprintf("%x", cert.SerialNumber),
		KeyUsage: keyUsages(cert.KeyUsage), NotBefore: TimeOf(cert.NotBefore), NotAfter: TimeOf(cert.NotAfter),
		AddedAt: now, AddedBy: by, UpdatedAt: now, UpdatedBy: by,
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); ok {
		c.KeyBits = key.N.BitLen()
	}
	return c
}

// X509 parses the certificate.
func (c *Certificate) X509() (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(c.PEM))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("certificate %s: pem must hold exactly one CERTIFICATE block", shorten(c.Fingerprint))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", shorten(c.Fingerprint), err)
	}
	return cert, nil
}

// Ref identifies the certificate without containing it.
func (c *Certificate) Ref() CertificateRef {
	return CertificateRef{c.Fingerprint, c.Subject, c.Issuer, c.Serial, c.NotAfter}
}

// Topic is cdds.certificates.
func (c *Certificate) Topic() Topic { return TopicCertificates }

// Key is tenant and fingerprint.
func (c *Certificate) Key() string { return c.TenantID + "/" + c.Fingerprint }

// Type is the CloudEvents type.
func (c *Certificate) Type() string { return "cdds.certificate.v1" }

// ID names the certificate and when it was changed.
func (c *Certificate) ID() string { return c.Key() + "/" + c.UpdatedAt.String() }

// At is when it was changed.
func (c *Certificate) At() Time { return c.UpdatedAt }

// DecodeCertificate reads and validates the value of a cdds.certificates message.
// Every error is a *MalformedError.
func DecodeCertificate(b []byte) (*Certificate, error) {
	c := new(Certificate)
	if err := readDefinition(b, c); err != nil {
		return nil, err
	}
	return validated(c)
}

// Validate reports every broken rule as one *InvalidError: the certificate must be one,
// and what is said about it must be so. It never repeats what pem holds.
func (c *Certificate) Validate() error {
	var p problems
	p.tenant(c.TenantID)
	p.instant("added_at", c.AddedAt, true)
	p.instant("updated_at", c.UpdatedAt, true)
	p.short("added_by", c.AddedBy)
	p.short("updated_by", c.UpdatedBy)
	if len(c.Name) > maxTitleBytes {
		p.add("name", "has %d bytes; the limit is %d", len(c.Name), maxTitleBytes)
	}
	if c.Revision < 0 {
		p.add("revision", "%d must not be negative", c.Revision)
	}
	if c.ReplacedBy != "" && (!fingerprintPattern.MatchString(c.ReplacedBy) || c.ReplacedBy == c.Fingerprint) {
		p.add("replaced_by", "must be the SHA-256 fingerprint of another certificate in 64 lower-case hex digits")
	}
	switch {
	case strings.Contains(c.PEM, "PRIVATE KEY"):
		p.add("pem", "holds a private key, which must never be given away; give the certificate alone")
		return p.err()
	case len(c.PEM) > maxCertificateText:
		p.add("pem", "has %d bytes; the limit is %d", len(c.PEM), maxCertificateText)
		return p.err()
	}
	cert, err := c.X509()
	if err != nil {
		p.add("pem", "must hold exactly one CERTIFICATE block with an X.509 certificate")
		return p.err()
	}
	is := NewCertificate(c.TenantID, cert, "", Time{})
	for _, said := range []struct {
		field string
		right bool
	}{
		{"fingerprint", c.Fingerprint == is.Fingerprint},
		// Or as earlier releases wrote them.
		{"subject", c.Subject == is.Subject || c.Subject == cert.Subject.String()},
		{"issuer", c.Issuer == is.Issuer || c.Issuer == cert.Issuer.String()},
		{"serial", c.Serial == is.Serial}, {"key_bits", c.KeyBits == is.KeyBits}, {"key_usage", slices.Equal(c.KeyUsage, is.KeyUsage)},
		{"not_before", c.NotBefore == is.NotBefore}, {"not_after", c.NotAfter == is.NotAfter},
	} {
		if !said.right {
			p.add(said.field, "is not what the certificate says")
		}
	}
	return p.err()
}

// keyUsages names the bits of a key usage extension (RFC 5280 section 4.2.1.3).
func keyUsages(usage x509.KeyUsage) []string {
	var all []string
	for bit, name := range []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	} {
		if usage&(1<<bit) != 0 {
			all = append(all, name)
		}
	}
	return all
}
