package smime_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdds/pipeline/smime"
)

// certify makes a self-signed certificate valid in 2030.
func certify(t *testing.T, usage x509.KeyUsage, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC),
		KeyUsage:     usage,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestCheckRecipientNamesTheRuleBroken(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := people()[0].key
	long := certify(t, 0, good)
	long.PublicKey = &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), smime.MaxKeyBits), E: 65537}
	unknown := certify(t, 0, good)
	unknown.PublicKey = nil
	withExponent := func(e int) *x509.Certificate {
		cert := certify(t, 0, good)
		cert.PublicKey = &rsa.PublicKey{N: good.N, E: e}
		return cert
	}

	june := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		cert   *x509.Certificate
		now    time.Time
		rule   smime.Rule // empty: accepted
		detail string
	}{
		{"no key usage", certify(t, 0, good), june, "", ""},
		{"key usage for it", certify(t, x509.KeyUsageKeyEncipherment|x509.KeyUsageDigitalSignature, good), june, "", ""},
		{"first moment", certify(t, 0, good), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), "", ""},
		{"last moment", certify(t, 0, good), time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC), "", ""},
		{"signing only", certify(t, x509.KeyUsageDigitalSignature, good), june, smime.RuleKeyUsage, "keyEncipherment"},
		{"too early", certify(t, 0, good), time.Date(2029, 12, 31, 23, 59, 59, 0, time.UTC), smime.RuleStarted, "2030-01-01T00:00:00Z"},
		{"too late", certify(t, 0, good), time.Date(2030, 12, 31, 0, 0, 1, 0, time.UTC), smime.RuleExpired, "2030-12-31T00:00:00Z"},
		{"short key", certify(t, 0, short), june, smime.RuleKeySize, "1024 bits"},
		{"long key", long, june, smime.RuleKeySize, "16385 bits"},
		{"exponent 1", withExponent(1), june, smime.RuleExponent, "exponent of its RSA key is 1,"},
		{"even exponent", withExponent(65536), june, smime.RuleExponent, "65536"},
		{"exponent 3", withExponent(3), june, "", ""},
		{"EC", certify(t, 0, ecKey), june, smime.RuleKeyType, "EC P-256"},
		{"Ed25519", certify(t, 0, edKey), june, smime.RuleKeyType, "Ed25519"},
		{"unknown", unknown, june, smime.RuleKeyType, "1.2.840.113549.1.1.1"},
	} {
		err := smime.CheckRecipient(c.cert, c.now)
		if c.rule == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var refusal *smime.RecipientError
		if !errors.As(err, &refusal) || refusal.Rule != c.rule || !strings.Contains(refusal.Detail, c.detail) || refusal.Hint == "" {
			t.Errorf("%s: got %v, want rule %s with %q", c.name, err, c.rule, c.detail)
		}
		if c.rule == smime.RuleKeyType || c.rule == smime.RuleKeySize || c.rule == smime.RuleExponent {
			if _, err := smime.Encrypt(io.Discard, smime.Options{}, c.cert); !errors.As(err, &refusal) {
				t.Errorf("%s: Encrypt got %v", c.name, err)
			}
		}
	}
}

func TestRSAPSSCertificateFromOpensslIsRefusedByName(t *testing.T) {
	openssl := tool(t, "openssl")
	key := filepath.Join(t.TempDir(), "key.pem")
	data := run(t, nil, openssl, "req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048",
		"-nodes", "-subj", "/CN=pss", "-keyout", key)
	certs, err := smime.ParseRecipients(data)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *smime.RecipientError
	if err := smime.CheckRecipient(certs[0], time.Now()); !errors.As(err, &refusal) || !strings.Contains(refusal.Detail, "RSA-PSS") {
		t.Errorf("got %v", err)
	}
}

func TestFingerprintIsThatOfOpenssl(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[0]
	out := string(run(t, p.certPEM, openssl, "x509", "-noout", "-fingerprint", "-sha256"))
	_, want, _ := strings.Cut(strings.TrimSpace(out), "=")
	if want = strings.ToLower(strings.ReplaceAll(want, ":", "")); smime.Fingerprint(p.cert) != want {
		t.Errorf("got %s, openssl says %s", smime.Fingerprint(p.cert), want)
	}
}

func TestParseRecipientsReadsPEMAndDER(t *testing.T) {
	a, b := people()[0], people()[1]
	text := append([]byte("subject=/CN=a\n"), a.certPEM...)
	for _, c := range []struct {
		name string
		data []byte
		want []*x509.Certificate
	}{
		{"PEM", a.certPEM, certsOf(people()[:1])},
		{"two in PEM", append(bytes.Clone(a.certPEM), b.certPEM...), certsOf(people()[:2])},
		{"PEM after text", text, certsOf(people()[:1])},
		{"PEM after a byte order mark", append([]byte("\ufeff"), a.certPEM...), certsOf(people()[:1])},
		{"PEM with CRLF", bytes.ReplaceAll(a.certPEM, []byte("\n"), []byte("\r\n")), certsOf(people()[:1])},
		{"DER", a.cert.Raw, certsOf(people()[:1])},
	} {
		got, err := smime.ParseRecipients(c.data)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %d certificates, error %v", c.name, len(got), err)
			continue
		}
		for i := range got {
			if !got[i].Equal(c.want[i]) {
				t.Errorf("%s: certificate %d is another", c.name, i)
			}
		}
	}
}

// privateKeys returns the same secret in all the forms people have it in.
func privateKeys(t testing.TB) map[string][]byte {
	p := people()[0]
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, _ := x509.MarshalECPrivateKey(ec)
	pkcs1 := x509.MarshalPKCS1PrivateKey(p.key)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(p.key)
	ecPKCS8, _ := x509.MarshalPKCS8PrivateKey(ec)
	return map[string][]byte{
		"PKCS#1 DER": pkcs1, "PKCS#8 DER": pkcs8, "SEC 1 DER": sec1, "EC PKCS#8 DER": ecPKCS8,
		"PKCS#1 PEM": pemOf("RSA PRIVATE KEY", pkcs1), "PKCS#8 PEM": p.keyPEM, "SEC 1 PEM": pemOf("EC PRIVATE KEY", sec1),
		"encrypted PEM":          pemOf("ENCRYPTED PRIVATE KEY", []byte{1}),
		"OpenSSH":                pemOf("OPENSSH PRIVATE KEY", []byte{1}),
		"lower case label":       bytes.ReplaceAll(p.keyPEM, []byte("PRIVATE KEY"), []byte("private key")),
		"beside a certificate":   append(bytes.Clone(p.certPEM), p.keyPEM...),
		"before a certificate":   append(bytes.Clone(p.keyPEM), p.certPEM...),
		"damaged PEM":            bytes.Replace(p.keyPEM, []byte("-----END"), []byte("----END"), 1),
		"mislabelled":            pemOf("CERTIFICATE", pkcs8),
		"mislabelled, after":     append(pemOf("PUBLIC KEY", []byte{1}), pemOf("CERTIFICATE", sec1)...),
		"DER after a DER cert":   append(bytes.Clone(p.cert.Raw), pkcs8...),
		"PuTTY":                  []byte("PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n"),
		"after a too large file": append(bytes.Repeat([]byte("#\n"), 1<<20), p.keyPEM...),
	}
}

func TestParseRecipientsRefusesPrivateKeysInEveryForm(t *testing.T) {
	for name, data := range privateKeys(t) {
		certs, err := smime.ParseRecipients(data)
		if !errors.Is(err, smime.ErrPrivateKey) || certs != nil {
			t.Errorf("%s: got %d certificates, error %v", name, len(certs), err)
		}
		if err != nil && err.Error() != smime.ErrPrivateKey.Error() {
			t.Errorf("%s: the error says more than it should: %v", name, err)
		}
	}
}

func TestParseRecipientsRefusesKeysThatOpensslWrote(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[0]
	cert, key := file(t, "cert.pem", p.certPEM), file(t, "key.pem", p.keyPEM)
	for name, args := range map[string][]string{
		"encrypted PKCS#8 DER": {"pkcs8", "-topk8", "-in", key, "-outform", "DER", "-passout", "pass:secret"},
		"encrypted PKCS#8 PEM": {"pkcs8", "-topk8", "-in", key, "-passout", "pass:secret"},
		"PKCS#12":              {"pkcs12", "-export", "-in", cert, "-inkey", key, "-passout", "pass:secret"},
	} {
		if _, err := smime.ParseRecipients(run(t, nil, openssl, args...)); !errors.Is(err, smime.ErrPrivateKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParseRecipientsSaysWhatIsNoCertificate(t *testing.T) {
	p := people()[0]
	public, err := x509.MarshalPKIXPublicKey(p.cert.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing":             nil,
		"text":                []byte("hello"),
		"a public key":        pemOf("PUBLIC KEY", public),
		"a public key in DER": public,
		"a PKCS#1 public key": x509.MarshalPKCS1PublicKey(&p.key.PublicKey),
		"two in DER":          append(bytes.Clone(p.cert.Raw), p.cert.Raw...),
		"cut PEM":             p.certPEM[:len(p.certPEM)/2],
		"second one cut":      append(bytes.Clone(p.certPEM), p.certPEM[:100]...),
		"damaged":             pemOf("CERTIFICATE", p.cert.Raw[:100]),
		"too large":           bytes.Repeat(p.certPEM, 1000),
	} {
		if _, err := smime.ParseRecipients(data); !errors.Is(err, smime.ErrNoCertificate) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestGeneratedRecipientPassesItsOwnRules(t *testing.T) {
	p := people()[0]
	if err := smime.CheckRecipient(p.cert, time.Now()); err != nil {
		t.Error(err)
	}
	if err := smime.CheckRecipient(signer().cert, time.Now()); err == nil {
		t.Error("a signing certificate was accepted as recipient")
	}
	if p.cert.Subject.CommonName != "anna" || len(p.cert.SubjectKeyId) == 0 || p.cert.IsCA {
		t.Errorf("unexpected certificate: %+v", p.cert.Subject)
	}
	for _, bad := range []smime.KeyOptions{{}, {CommonName: "x", Bits: 1024}, {CommonName: "x", Bits: 1 << 20}, {CommonName: "x", Validity: -1}} {
		if _, _, err := smime.GenerateKeyPair(bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestGeneratedKeyHas3072BitsUnlessTold(t *testing.T) {
	p := newPerson(smime.KeyOptions{CommonName: "default"})
	if n := p.key.N.BitLen(); n != 3072 {
		t.Errorf("the key has %d bits", n)
	}
}
