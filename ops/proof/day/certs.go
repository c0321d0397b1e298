package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

// authority issues the certificates of services and of the console. Who trusts it reads a file.
type authority struct {
	file string

	mu      sync.Mutex
	serving *tls.Certificate
	trust   [][]byte // PEM of authorities, the present one last
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate
}

func newAuthority(file string) (*authority, error) {
	a := &authority{file: file}
	if err := a.renew(); err != nil {
		return nil, err
	}
	return a, a.serveNew()
}

// renew makes another authority, trusted beside the one before.
func (a *authority) renew() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "CDDS day " + time.Now().Format(time.TimeOnly)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key, a.trust = key, append(a.trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a.write()
}

// forget no longer trusts any authority but the last.
func (a *authority) forget() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trust = a.trust[len(a.trust)-1:]
	return a.write()
}

func (a *authority) write() error { return os.WriteFile(a.file, bytes.Join(a.trust, nil), 0o600) }

// issue makes a certificate of this machine and its key, in PEM.
func (a *authority) issue() (cert, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), err
}

// serveNew has the services show another certificate.
func (a *authority) serveNew() error {
	cert, key, err := a.issue()
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serving = &pair
	return nil
}

func (a *authority) serve(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.serving, nil
}

// trusted are the authorities that clients of the day trust.
func (a *authority) trusted() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	pool := x509.NewCertPool()
	for _, pem := range a.trust {
		pool.AppendCertsFromPEM(pem)
	}
	return pool
}

// secret is a new secret.
func secret() string { return rand.Text() + rand.Text() }
