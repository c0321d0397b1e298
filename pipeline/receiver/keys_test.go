package receiver_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"cdds/pipeline/receiver"
)

const secret = "correct horse"

// pair is a key and its certificate.
func pair(t *testing.T) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "receiver"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return key, cert
}

func block(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreReadAsPeopleHaveThem(t *testing.T) {
	key, cert := pair(t)
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	encrypted, err := pkcs8.MarshalPrivateKey(key, []byte(secret), nil)
	must(t, err)
	legacy, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), []byte(secret), x509.PEMCipherAES256) //nolint:staticcheck // what older openssl wrote
	must(t, err)
	modern, err := pkcs12.Modern.Encode(key, cert, nil, secret)
	must(t, err)
	old, err := pkcs12.Legacy.Encode(key, cert, nil, secret)
	must(t, err)
	open, err := pkcs12.Modern.Encode(key, cert, nil, "")
	must(t, err)
	certPEM := block("CERTIFICATE", cert.Raw)
	for name, c := range map[string]struct {
		file      []byte
		encrypted bool
		cert      bool
	}{
		"PKCS#8":                            {file: block("PRIVATE KEY", plain)},
		"PKCS#8 with a byte order mark":     {file: append([]byte("\ufeff"), block("PRIVATE KEY", plain)...)},
		"PKCS#8 in DER":                     {file: plain},
		"PKCS#1":                            {file: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))},
		"PKCS#1 in DER":                     {file: x509.MarshalPKCS1PrivateKey(key)},
		"encrypted PKCS#8":                  {file: block("ENCRYPTED PRIVATE KEY", encrypted), encrypted: true},
		"encrypted PKCS#8 in DER":           {file: encrypted, encrypted: true},
		"encrypted as older openssl did":    {file: pem.EncodeToMemory(legacy), encrypted: true},
		"key before certificate":            {file: append(block("PRIVATE KEY", plain), certPEM...), cert: true},
		"certificate before encrypted key":  {file: append(bytes.Clone(certPEM), block("ENCRYPTED PRIVATE KEY", encrypted)...), encrypted: true, cert: true},
		"what openssl pkcs12 -nodes writes": {file: append([]byte("Bag Attributes\n    localKeyID: 01\n"), append(bytes.Clone(certPEM), block("PRIVATE KEY", plain)...)...), cert: true},
		"PKCS#12":                           {file: modern, encrypted: true, cert: true},
		"PKCS#12 as Windows 7 wrote it":     {file: old, encrypted: true, cert: true},
		"PKCS#12 without a passphrase":      {file: open, cert: true},
	} {
		asked := 0
		keys, err := receiver.ReadKeys(c.file, func() (string, error) { asked++; return secret, nil })
		if err != nil || !key.Equal(keys.Key) || (len(keys.Certificates) == 1 && keys.Certificates[0].Equal(cert)) != c.cert || (asked == 1) != c.encrypted {
			t.Errorf("%s: asked %d times, %d certificates, %v", name, asked, len(keys.Certificates), err)
		}
		if !c.encrypted {
			continue
		}
		if _, err := receiver.ReadKeys(c.file, func() (string, error) { return "wrong", nil }); !errors.Is(err, receiver.ErrPassphrase) {
			t.Errorf("%s with another passphrase: %v", name, err)
		}
		away := errors.New("nobody is there")
		if _, err := receiver.ReadKeys(c.file, func() (string, error) { return "", away }); !errors.Is(err, away) {
			t.Errorf("%s without a passphrase: %v", name, err)
		}
	}
	keys, err := receiver.ReadKeys(certPEM, nil)
	if err != nil || keys.Key != nil || len(keys.Certificates) != 1 {
		t.Errorf("a certificate alone: %+v, %v", keys, err)
	}
}

func TestKeysAreReadThatOpensslWrote(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not here")
	}
	key, cert := pair(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "key.pem"), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), block("CERTIFICATE", cert.Raw), 0o600))
	for name, args := range map[string][]string{
		"PKCS#12":                      {"pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:" + secret},
		"PKCS#8":                       {"pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:" + secret},
		"PKCS#8 in DER":                {"pkcs8", "-topk8", "-in", "key.pem", "-outform", "DER", "-passout", "pass:" + secret},
		"PKCS#8 with scrypt":           {"pkcs8", "-topk8", "-scrypt", "-in", "key.pem", "-passout", "pass:" + secret},
		"PKCS#8 with 3DES":             {"pkcs8", "-topk8", "-v2", "des3", "-in", "key.pem", "-passout", "pass:" + secret},
		"the traditional form, in AES": {"rsa", "-aes256", "-traditional", "-in", "key.pem", "-passout", "pass:" + secret},
	} {
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		file, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: openssl %v: %v", name, args, err)
			continue
		}
		if keys, err := receiver.ReadKeys(file, func() (string, error) { return secret, nil }); err != nil || !key.Equal(keys.Key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileWithoutAnRSAKeyIsNamed(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ec, err := x509.MarshalPKCS8PrivateKey(curve)
	must(t, err)
	damaged := block("ENCRYPTED PRIVATE KEY", []byte{0x30, 3, 4, 1, 0})
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"nothing":                 {nil, "not an RSA private key"},
		"another kind of key":     {block("PRIVATE KEY", ec), "its key is not RSA"},
		"a key of SSH":            {block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00")), "a key of SSH"},
		"a request":               {block("CERTIFICATE REQUEST", []byte{0x30, 0}), "it holds CERTIFICATE REQUEST"},
		"UTF-16":                  {[]byte("\xff\xfe-\x00"), "save it as UTF-8"},
		"cut PEM":                 {[]byte("-----BEGIN PRIVATE KEY-----\nMII"), "damaged"},
		"a damaged encrypted key": {damaged, "its encryption is not PBES2"},
	} {
		_, err := receiver.ReadKeys(c.file, func() (string, error) { return secret, nil })
		if !errors.Is(err, receiver.ErrNoKey) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}
