package schemas_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"cdds/schemas"
)

// certificateOf is a certificate whose subject and issuer are name.
func certificateOf(t *testing.T, name pkix.Name) *x509.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(7), Subject: name, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestNamesOfCertificatesAreForPeople(t *testing.T) {
	for want, name := range map[string]pkix.Name{
		"CN=Ann,O=Example,C=DE,emailAddress=ann@example.com": {
			CommonName: "Ann", Organization: []string{"Example"}, Country: []string{"DE"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "ann@example.com"}},
		},
		`CN=a\,b,1.2.3.4=#130161,UID=x\,CN=y`: {
			CommonName: "a,b", ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "x,CN=y"}, {Type: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: "a"},
			},
		},
		"emailAddress=only@example.com": {
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "only@example.com"}},
		},
	} {
		cert := certificateOf(t, name)
		if got := schemas.NameText(cert.Subject); got != want {
			t.Errorf("the name is %s, want %s", got, want)
		}
		c := schemas.NewCertificate("acme", cert, "ada", schemas.TimeOf(time.Now()))
		if c.Subject != want || c.Issuer != want || c.Validate() != nil {
			t.Errorf("registered: %s of %s, %v", c.Subject, c.Issuer, c.Validate())
		}
		c.Subject, c.Issuer = cert.Subject.String(), cert.Issuer.String()
		if err := c.Validate(); err != nil {
			t.Errorf("as an earlier release registered it: %v", err)
		}
	}
}
