package app

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"cdds/ops/config"
)

// Signer is the service's own certificate and key.
type Signer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// LoadSigner reads what signs manifests.
func LoadSigner(c config.Service) (Signer, error) {
	if c.CertFile == "" || c.KeyFile == "" {
		return Signer{}, errNoSigner
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return Signer{}, fmt.Errorf("load the service certificate: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return Signer{}, fmt.Errorf("the key in %s cannot sign", c.KeyFile)
	}
	return Signer{pair.Leaf, key}, nil
}
