package smime

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
)

// Prepared is a message of which all but the content is decided: keys, IV, recipients and
// size. Sealing the same content again gives the same bytes, so that content too large to
// keep can be read once to learn the digest of the sealed message, and again to store it.
//
// Two messages of one Prepared with different contents reveal to a holder of both where these first
// differ: whoever seals twice must keep only one.
type Prepared struct {
	opts    Options
	key, iv []byte
	head    []byte
	sealed  bool
}

// Prepare decides everything that [Encrypt] does but the content, and fails as it does.
func Prepare(opts Options, recipients ...*x509.Certificate) (*Prepared, error) {
	if err := opts.check(recipients); err != nil {
		return nil, err
	}
	secret := make([]byte, keySize+opts.Cipher.ivSize())
	rand.Read(secret) // never fails: it ends the program rather than return weak bytes
	p := &Prepared{opts: opts, key: secret[:keySize], iv: secret[keySize:]}
	var err error
	p.head, err = opts.envelopeHead(recipients, p.iv, func(pub *rsa.PublicKey) ([]byte, error) {
		return opts.KeyTransport.wrap(pub, p.key)
	})
	return p, err
}

// Size is the exact number of bytes of the sealed message.
func (p *Prepared) Size() int64 {
	size := int64(len(p.head)) + p.opts.Cipher.sealedContentSize(p.opts.ContentSize) + p.opts.Cipher.trailerSize()
	if p.opts.Encoding == SMIME {
		size = int64(len(p.opts.mimeHeader())) + linesSize(size)
	}
	return size
}

// Encrypt writes the message to dst as [Encrypt] does. With AES256GCM it seals once only:
// two contents under one nonce would give its authentication away.
func (p *Prepared) Encrypt(dst io.Writer) (io.WriteCloser, error) {
	if p.sealed && p.opts.Cipher == AES256GCM {
		return nil, errors.New("smime: a message of AES-256-GCM is sealed once only")
	}
	p.sealed = true
	block, err := aes.NewCipher(p.key)
	if err != nil {
		return nil, fmt.Errorf("smime: set up AES: %w", err)
	}
	w := &writer{dst: nopCloser{dst}, left: p.opts.ContentSize}
	if p.opts.Cipher == AES256GCM {
		if w.gcm, err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("smime: set up GCM: %w", err)
		}
		w.nonce = bytes.Clone(p.iv)
		w.buf = make([]byte, 0, p.opts.ContentSize+gcmTagSize)
	} else {
		w.cbc = cipher.NewCBCEncrypter(block, p.iv)
		w.buf = make([]byte, 0, bufferSize)
	}
	if p.opts.Encoding == SMIME {
		if _, err := io.WriteString(dst, p.opts.mimeHeader()); err != nil {
			return nil, fmt.Errorf("smime: write headers: %w", err)
		}
		w.dst = newLineWriter(dst)
	}
	if _, err := w.dst.Write(p.head); err != nil {
		return nil, fmt.Errorf("smime: write head: %w", err)
	}
	return w, nil
}
