package smime

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Purpose is what a generated certificate is for.
type Purpose int

const (
	// Recipient is for one who receives sealed content: keyEncipherment.
	Recipient Purpose = iota
	// Signer is for a service that signs manifests: digitalSignature.
	Signer
)

// KeyOptions describes a key pair to generate. The zero value but for
// CommonName is a good choice.
type KeyOptions struct {
	CommonName string        // required, at most 64 characters (RFC 5280 appendix A.1)
	Purpose    Purpose       // Recipient unless set
	Bits       int           // of the RSA key; 3072 if zero
	NotBefore  time.Time     // the present if zero
	Validity   time.Duration // two years if zero
}

const (
	defaultKeyBits  = 3072 // as strong as AES-128, NIST SP 800-57
	defaultValidity = 2 * 365 * 24 * time.Hour
	maxKeygenBits   = 8192 // beyond, generating takes minutes
	clockSkew       = time.Hour
)

// GenerateKeyPair makes an RSA key and a self-signed certificate for it, both as
// PEM: a CERTIFICATE, to be given away, and an unencrypted PKCS#8 PRIVATE KEY,
// which the caller must store with mode 0600 and nowhere else. Validity begins
// an hour early, for clocks that run late. [crypto/tls.X509KeyPair] reads the pair back
// and checks that they belong together.
func GenerateKeyPair(opts KeyOptions) (certPEM, keyPEM []byte, err error) {
	if opts.Bits == 0 {
		opts.Bits = defaultKeyBits
	}
	if opts.NotBefore.IsZero() {
		opts.NotBefore = time.Now()
	}
	if opts.Validity == 0 {
		opts.Validity = defaultValidity
	}
	switch {
	case opts.CommonName == "" || len(opts.CommonName) > 64:
		return nil, nil, fmt.Errorf("smime: common name %q must have 1 to 64 characters", opts.CommonName)
	case opts.Bits < MinKeyBits || opts.Bits > maxKeygenBits:
		return nil, nil, fmt.Errorf("smime: key size %d: choose %d to %d", opts.Bits, MinKeyBits, maxKeygenBits)
	case opts.Validity < 0:
		return nil, nil, fmt.Errorf("smime: validity %v must be positive", opts.Validity)
	}
	key, err := rsa.GenerateKey(rand.Reader, opts.Bits)
	if err != nil {
		return nil, nil, fmt.Errorf("smime: generate key: %w", err)
	}
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x7f | 0x40 // positive and of full length
	keyID := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	usage := x509.KeyUsageKeyEncipherment
	if opts.Purpose == Signer {
		usage = x509.KeyUsageDigitalSignature
	}
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: opts.CommonName},
		NotBefore:             opts.NotBefore.Add(-clockSkew),
		NotAfter:              opts.NotBefore.Add(opts.Validity),
		KeyUsage:              usage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID[:20], // RFC 7093 section 2 method 1
		SignatureAlgorithm:    x509.SHA256WithRSA,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, fmt.Errorf("smime: make certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("smime: encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
