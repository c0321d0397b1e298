package smime_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"cdds/pipeline/smime"
)

// flawed is a certificate of a name and the serial number 5, with one change to its DER.
func flawed(t *testing.T, name, from, to string) []byte {
	t.Helper()
	key := people()[0].key
	template := x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	before, err := hex.DecodeString(from)
	if err != nil {
		t.Fatal(err)
	}
	after, err := hex.DecodeString(to)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.ReplaceAll(der, before, after)
	if bytes.Equal(changed, der) {
		t.Fatalf("the certificate has no %s", from)
	}
	return changed
}

func TestAFileThatIsNoCertificateIsNamedWithWhatToDo(t *testing.T) {
	key := people()[0].key
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	negative := flawed(t, "x", "020105", "0201fb")
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":                           {nil, "the file is empty"},
		"blanks":                            {[]byte("\r\n \n"), "the file is empty"},
		"a request":                         {pemOf("CERTIFICATE REQUEST", request), "a certificate request (CSR)"},
		"a request in DER":                  {request, "a certificate request (CSR)"},
		"a request labelled as certificate": {pemOf("CERTIFICATE", request), "a certificate request (CSR)"},
		"a public key":                      {pemOf("PUBLIC KEY", public), "a public key without a certificate"},
		"a public key in DER":               {public, "a public key without a certificate"},
		"PKCS#7":                            {pemOf("PKCS7", []byte{0x30, 0}), "openssl pkcs7 -print_certs"},
		"an SSH key":                        {[]byte("ssh-rsa AAAAB3NzaC1yc2E ann@example.com"), "a public key of SSH"},
		"UTF-16":                            {[]byte("\xff\xfe-\x00-\x00"), "save it as UTF-8"},
		"a negative serial number":          {pemOf("CERTIFICATE", negative), "negative serial number"},
		"the same in DER":                   {negative, "negative serial number"},
		"a wrong PrintableString":           {pemOf("CERTIFICATE", flawed(t, "a_b@example.com", "0c0f"+hex.EncodeToString([]byte("a_b@")), "130f"+hex.EncodeToString([]byte("a_b@")))), "UTF8String"},
		"an RSA key without NULL":           {pemOf("CERTIFICATE", flawed(t, "x", "2a864886f70d0101010500", "2a864886f70d0101010400")), "RFC 3279"},
		"a cut certificate":                 {pemOf("CERTIFICATE", negative[:200]), "is damaged"},
	} {
		_, err := smime.ParseRecipients(c.data)
		if !errors.Is(err, smime.ErrNoCertificate) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

func TestAPKCS12FileIsNotSaidToHoldAPrivateKeyButRefusedAsIfItDid(t *testing.T) {
	for name, data := range map[string][]byte{
		"definite":   {0x30, 0x15, 2, 1, 3, 0x30, 0x10, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 3, 4, 1, 0},
		"indefinite": {0x30, 0x80, 2, 1, 3, 0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1},
	} {
		_, err := smime.ParseRecipients(data)
		if !errors.Is(err, smime.ErrPrivateKey) || !errors.Is(err, smime.ErrPKCS12) || !strings.Contains(err.Error(), "openssl pkcs12") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
