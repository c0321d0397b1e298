package receiver

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"

	"cdds/pipeline/smime"
)

// Errors of ReadKeys. None says anything of what the file holds.
var (
	// ErrPassphrase says that the passphrase does not open the key.
	ErrPassphrase = errors.New("the passphrase does not open the key")
	// ErrNoKey says that a file holds no RSA private key.
	ErrNoKey = errors.New("not an RSA private key in PEM, DER or PKCS#12")
)

// Keys are what a receiver's file holds: its private key, its certificates, or both.
type Keys struct {
	// Key is nil if none exists.
	Key *rsa.PrivateKey
	// Certificates are in the order of the file.
	Certificates []*x509.Certificate
}

// ReadKeys reads the private key and the certificates in a file, as people have them:
// PKCS#8, PKCS#1 or PKCS#12, in PEM or DER, together or alone, with a byte order mark or
// without. It calls passphrase, at most once, only if the key is encrypted, and passes its
// error on.
func ReadKeys(file []byte, passphrase func() (string, error)) (Keys, error) {
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	if bytes.HasPrefix(file, []byte("\xff\xfe")) || bytes.HasPrefix(file, []byte("\xfe\xff")) {
		return Keys{}, fmt.Errorf("%w: it is text in UTF-16; save it as UTF-8", ErrNoKey)
	}
	if !bytes.Contains(file, []byte("-----BEGIN ")) {
		return readDER(file, passphrase)
	}
	var all Keys
	var others []string
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE":
			certs, err := smime.ParseRecipients(pem.EncodeToMemory(block)) // which says what is wrong with it
			if err != nil {
				return all, err
			}
			all.Certificates = append(all.Certificates, certs...)
		case all.Key != nil: // the first one counts
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			key, err := readBlock(block, passphrase)
			if err != nil {
				return all, err
			}
			all.Key = key
		default:
			others = append(others, block.Type)
		}
	}
	if all.Key == nil && len(all.Certificates) == 0 {
		if len(others) > 0 {
			return all, fmt.Errorf("%w: it holds %s", ErrNoKey, strings.Join(slices.Compact(others), ", "))
		}
		return all, fmt.Errorf("%w: a PEM block is damaged; copy it whole from BEGIN to END", ErrNoKey)
	}
	return all, nil
}

func readBlock(block *pem.Block, passphrase func() (string, error)) (*rsa.PrivateKey, error) {
	switch {
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, fmt.Errorf("%w: it is a key of SSH", ErrNoKey)
	case x509.IsEncryptedPEMBlock(block): //nolint:staticcheck // weak, and what older openssl wrote; it is only read
		text, err := passphrase()
		if err != nil {
			return nil, err
		}
		der, err := x509.DecryptPEMBlock(block, []byte(text)) //nolint:staticcheck // as above
		if err != nil {
			return nil, ErrPassphrase
		}
		if key, err := rsaKey(der); err == nil {
			return key, nil
		}
		return nil, ErrPassphrase // one wrong passphrase in 256 passes the check of the padding
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return decryptPKCS8(block.Bytes, passphrase)
	}
	return rsaKey(block.Bytes)
}

func readDER(der []byte, passphrase func() (string, error)) (Keys, error) {
	if cert, err := x509.ParseCertificate(der); err == nil {
		return Keys{Certificates: []*x509.Certificate{cert}}, nil
	}
	if isEncryptedPKCS8(der) {
		key, err := decryptPKCS8(der, passphrase)
		return Keys{Key: key}, err
	}
	if _, err := smime.ParseRecipients(der); errors.Is(err, smime.ErrPKCS12) {
		return readPKCS12(der, passphrase)
	}
	key, err := rsaKey(der)
	return Keys{Key: key}, err
}

// rsaKey reads PKCS#1 and PKCS#8.
func rsaKey(der []byte) (*rsa.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, ErrNoKey
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: its key is not RSA, and exports are sealed for RSA keys only", ErrNoKey)
	}
	return key, nil
}

func readPKCS12(der []byte, passphrase func() (string, error)) (Keys, error) {
	key, cert, chain, err := pkcs12.DecodeChain(der, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		text, asked := passphrase()
		if asked != nil {
			return Keys{}, asked
		}
		key, cert, chain, err = pkcs12.DecodeChain(der, text)
	}
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return Keys{}, ErrPassphrase
	case err != nil:
		return Keys{}, fmt.Errorf("%w: the PKCS#12 file holds no key with its certificate that can be read", ErrNoKey)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return Keys{}, fmt.Errorf("%w: its key is not RSA, and exports are sealed for RSA keys only", ErrNoKey)
	}
	return Keys{Key: private, Certificates: append([]*x509.Certificate{cert}, chain...)}, nil
}

// decryptPKCS8 decrypts PBES2, which openssl and others have written for years.
func decryptPKCS8(der []byte, passphrase func() (string, error)) (key *rsa.PrivateKey, err error) {
	text, err := passphrase()
	if err != nil {
		return nil, err
	}
	if text == "" { // to the library it would mean that nothing is encrypted
		return nil, ErrPassphrase
	}
	defer func() { // it does not look at the size of what it decrypts
		if recover() != nil {
			key, err = nil, fmt.Errorf("%w: it is damaged", ErrNoKey)
		}
	}()
	parsed, _, err := pkcs8.ParsePrivateKey(der, []byte(text))
	switch {
	case err != nil && strings.Contains(err.Error(), "incorrect password"):
		return nil, ErrPassphrase
	case err != nil:
		return nil, fmt.Errorf("%w: its encryption is not PBES2; write it anew with openssl pkcs8 -topk8 -in FILE -out key.pem", ErrNoKey)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: its key is not RSA, and exports are sealed for RSA keys only", ErrNoKey)
	}
	return key, nil
}

// isEncryptedPKCS8 recognises EncryptedPrivateKeyInfo (RFC 5958 section 3).
func isEncryptedPKCS8(der []byte) bool {
	var info struct {
		Algorithm asn1.RawValue
		Data      []byte
	}
	rest, err := asn1.Unmarshal(der, &info)
	return err == nil && len(rest) == 0 && info.Algorithm.Tag == asn1.TagSequence
}
