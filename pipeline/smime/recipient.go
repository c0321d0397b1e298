package smime

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"time"
)

// Sizes of RSA keys in bits. Below, the key can be factored in the lifetime of
// an export; above, no reader is known to follow and sealing only gets slower.
const (
	MinKeyBits = 2048
	MaxKeyBits = 16384
)

// Rule names what a certificate must satisfy to be a recipient.
type Rule string

// The rules of [CheckRecipient], in the order they are checked.
const (
	RuleKeyType  Rule = "key-type"      // an RSA key, not EC, Ed25519 or RSA-PSS
	RuleKeySize  Rule = "key-size"      // MinKeyBits to MaxKeyBits
	RuleExponent Rule = "key-exponent"  // odd, and at least 3
	RuleSeal     Rule = "seal"          // a content key can be sealed for it
	RuleStarted  Rule = "not-yet-valid" // notBefore has come
	RuleExpired  Rule = "expired"       // notAfter has not passed
	RuleKeyUsage Rule = "key-usage"     // keyEncipherment, if key usage is stated
)

// RecipientError says which rule a certificate breaks, how, and what to do.
type RecipientError struct {
	Rule   Rule
	Detail string // what was found, e.g. "the key has 1024 bits"
	Hint   string // the way out, for the certificate's owner
}

func (e *RecipientError) Error() string {
	return fmt.Sprintf("certificate refused (%s): %s; %s", e.Rule, e.Detail, e.Hint)
}

// CheckRecipient reports whether content may be sealed for cert at the time now:
// an RSA key of [MinKeyBits] to [MaxKeyBits] that can be sealed for, within its
// validity, and with keyEncipherment if its key usage is stated (RFC 8551 section 4.4.2 and RFC
// 5280 section 4.2.1.3). The error is a [*RecipientError] for the first rule
// broken. openssl checks none of this when it encrypts.
func CheckRecipient(cert *x509.Certificate, now time.Time) error {
	if err := checkKey(cert); err != nil {
		return err
	}
	// What is accepted where a job or a request names it must not fail where it is used.
	for _, transport := range []KeyTransport{PKCS1v15, OAEP} {
		_, err := recipientInfo(cert, transport, func(pub *rsa.PublicKey) ([]byte, error) { return transport.wrap(pub, make([]byte, keySize)) })
		if err != nil {
			return &RecipientError{RuleSeal, "nothing can be sealed for its key: " + err.Error(), keyHint}
		}
	}
	switch {
	case now.Before(cert.NotBefore):
		return &RecipientError{RuleStarted,
			"the certificate is valid only from " + cert.NotBefore.UTC().Format(time.RFC3339),
			"wait until then, or supply one that is valid now"}
	case now.After(cert.NotAfter):
		return &RecipientError{RuleExpired,
			"the certificate expired at " + cert.NotAfter.UTC().Format(time.RFC3339),
			"supply a renewed certificate"}
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageKeyEncipherment == 0:
		return &RecipientError{RuleKeyUsage,
			"its key usage does not include keyEncipherment",
			"supply the certificate issued for encryption, not the one for signing"}
	}
	return nil
}

const keyHint = "supply a certificate with an RSA key of at least 2048 bits, better 3072"

// checkKey checks what [Encrypt] cannot do without.
func checkKey(cert *x509.Certificate) error {
	pub, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return &RecipientError{RuleKeyType, "the key is " + keyName(cert) + ", sealing needs plain RSA (rsaEncryption)", keyHint}
	}
	if bits := pub.N.BitLen(); bits < MinKeyBits || bits > MaxKeyBits {
		return &RecipientError{RuleKeySize, fmt.Sprintf("the key has %d bits, from %d to %d are accepted", bits, MinKeyBits, MaxKeyBits), keyHint}
	}
	if pub.E < 3 || pub.E%2 == 0 {
		return &RecipientError{RuleExponent, fmt.Sprintf("the public exponent of its RSA key is %d, and must be odd and at least 3", pub.E), "supply a certificate whose key has the exponent 65537, as openssl and cdds keygen make them"}
	}
	return nil
}

// keyName names the kind of a certificate's key. crypto/x509 gives no public
// key at all for kinds it does not know, RSA-PSS among them.
func keyName(cert *x509.Certificate) string {
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA"
	case *ecdsa.PublicKey:
		return "EC " + pub.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return "unreadable"
	}
	if info.Algorithm.Algorithm.Equal(oidRSAPSS) {
		return "RSA-PSS, which only signs"
	}
	return "of type " + info.Algorithm.Algorithm.String()
}

// Fingerprint returns the SHA-256 of the certificate's DER form in lower-case
// hexadecimal without separators: 64 characters, the same as "openssl x509
// -fingerprint -sha256" but for colons and case.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
