package smime

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
)

const (
	bufferSize      = 64 << 10 // of plaintext or ciphertext held at a time
	keySize         = 32       // AES-256
	maxContentSize  = 1 << 50  // far from overflow in any sum of lengths
	maxRecipients   = 256
	maxFilename     = 255
	defaultFilename = "smime.p7m"
)

// Encoding is the outer form of a sealed message.
type Encoding int

const (
	// SMIME is MIME headers and base64 (RFC 8551 section 3.3), as openssl
	// writes and reads by default. It is a third larger than DER.
	SMIME Encoding = iota
	// DER is the bare binary CMS structure.
	DER
)

// Options describes one message to seal.
type Options struct {
	// Encoding is SMIME unless set.
	Encoding Encoding

	// Cipher is AES256CBC and KeyTransport PKCS1v15 unless set: what every reader opens.
	Cipher       Cipher
	KeyTransport KeyTransport

	// ContentSize is the exact number of bytes that will be written. It must be
	// known beforehand because definite lengths precede the content.
	ContentSize int64

	// Filename is the name that MIME headers suggest for the file; "smime.p7m"
	// if empty. Only [A-Za-z0-9._-] is accepted. Unused with DER.
	Filename string
}

// Encrypt writes a CMS message to dst, sealed for every one of the recipients:
// EnvelopedData (RFC 5652 section 6), AES-256-CBC under a fresh key and IV,
// transported with RSA PKCS#1 v1.5, unless opts choose otherwise. The head is
// written at once, the content as it comes; with AES256GCM it is kept in memory
// and written at Close.
//
// The caller must write exactly opts.ContentSize bytes and then call Close,
// which writes the padding and the end of the message and does not close dst.
// More or fewer bytes are an [ErrSize]; an error stays. To abandon a message,
// do not call Close: every reader rejects what dst then holds.
//
// Each recipient must have an RSA key of acceptable size, else the error is a
// [*RecipientError]. Validity and key usage are for [CheckRecipient], which
// needs to know the time.
func Encrypt(dst io.Writer, opts Options, recipients ...*x509.Certificate) (io.WriteCloser, error) {
	p, err := Prepare(opts, recipients...)
	if err != nil {
		return nil, err
	}
	defer clear(p.key)
	return p.Encrypt(dst)
}

// SealedSize returns the exact number of bytes that [Encrypt] with the same
// arguments writes to dst. It fails as Encrypt does.
func SealedSize(opts Options, recipients ...*x509.Certificate) (int64, error) {
	if err := opts.check(recipients); err != nil {
		return 0, err
	}
	head, err := opts.envelopeHead(recipients, make([]byte, opts.Cipher.ivSize()), func(pub *rsa.PublicKey) ([]byte, error) {
		return make([]byte, pub.Size()), nil
	})
	if err != nil {
		return 0, err
	}
	size := int64(len(head)) + opts.Cipher.sealedContentSize(opts.ContentSize) + opts.Cipher.trailerSize()
	if opts.Encoding == SMIME {
		size = int64(len(opts.mimeHeader())) + linesSize(size)
	}
	return size, nil
}

func (o Options) check(recipients []*x509.Certificate) error {
	switch {
	case len(recipients) == 0:
		return errors.New("smime: no recipient: give at least one certificate")
	case len(recipients) > maxRecipients:
		return fmt.Errorf("smime: %d recipients: at most %d can share a message", len(recipients), maxRecipients)
	case o.ContentSize < 0 || o.ContentSize > maxContentSize:
		return fmt.Errorf("smime: content size %d is out of range", o.ContentSize)
	case o.Encoding != SMIME && o.Encoding != DER:
		return fmt.Errorf("smime: unknown encoding %d", o.Encoding)
	case o.Cipher != AES256CBC && o.Cipher != AES256GCM:
		return fmt.Errorf("smime: unknown cipher %d", o.Cipher)
	case o.Cipher == AES256GCM && o.ContentSize > MaxGCMContent:
		return fmt.Errorf("smime: content of size %d: AES-256-GCM seals at most %d, which a reader must hold in memory", o.ContentSize, MaxGCMContent)
	case o.KeyTransport != PKCS1v15 && o.KeyTransport != OAEP:
		return fmt.Errorf("smime: unknown key transport %d", o.KeyTransport)
	case len(o.Filename) > maxFilename:
		return fmt.Errorf("smime: filename of %d characters: at most %d fit a header line", len(o.Filename), maxFilename)
	}
	for _, c := range []byte(o.Filename) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("smime: filename %q: only letters, digits, '.', '_' and '-' are safe in every reader", o.Filename)
		}
	}
	return nil
}

// mimeHeader is what "openssl cms -encrypt" writes, byte for byte.
func (o Options) mimeHeader() string {
	name := o.Filename
	if name == "" {
		name = defaultFilename
	}
	kind := "enveloped-data"
	if o.Cipher == AES256GCM {
		kind = "authEnveloped-data" // as RFC 8551 section 3.2.2 spells it
	}
	return "MIME-Version: 1.0\n" +
		"Content-Disposition: attachment; filename=\"" + name + "\"\n" +
		"Content-Type: application/pkcs7-mime; smime-type=" + kind + "; name=\"" + name + "\"\n" +
		"Content-Transfer-Encoding: base64\n\n"
}

// writer encrypts into dst. All content passes through buf. With CBC its capacity is
// a multiple of the block size, so that CBC works on whole buffers in place; with GCM
// it has room for everything and the tag, and is never full before Close.
type writer struct {
	dst    io.WriteCloser
	cbc    cipher.BlockMode
	gcm    cipher.AEAD // in place of cbc
	nonce  []byte      // of gcm
	buf    []byte
	left   int64 // bytes of content still to come
	closed bool
	err    error // sticky
}

func (w *writer) Write(p []byte) (int, error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closed:
		return 0, errors.New("smime: write after close")
	case int64(len(p)) > w.left:
		w.err = fmt.Errorf("%w: bytes too many: %d", ErrSize, int64(len(p))-w.left)
		return 0, w.err
	}
	for done := 0; done < len(p); {
		n := copy(w.buf[len(w.buf):cap(w.buf)], p[done:])
		w.buf = w.buf[:len(w.buf)+n]
		done += n
		w.left -= int64(n)
		if len(w.buf) == cap(w.buf) {
			if w.flush(); w.err != nil {
				return done, w.err
			}
		}
	}
	return len(p), nil
}

// Close ends the message, with padding or the tag. A second Close returns what the first did.
func (w *writer) Close() error {
	if w.err != nil || w.closed {
		return w.err
	}
	w.closed = true
	if w.left > 0 {
		w.err = fmt.Errorf("%w: bytes missing: %d", ErrSize, w.left)
		return w.err
	}
	if w.gcm != nil {
		w.authenticate()
	} else {
		// Padding always fits: Write flushes a full buffer.
		pad := aes.BlockSize - len(w.buf)%aes.BlockSize
		w.buf = append(w.buf, bytes.Repeat([]byte{byte(pad)}, pad)...)
		w.flush()
	}
	if w.err != nil {
		return w.err
	}
	if err := w.dst.Close(); err != nil {
		w.err = fmt.Errorf("smime: write end: %w", err)
	}
	return w.err
}

func (w *writer) flush() {
	w.cbc.CryptBlocks(w.buf, w.buf)
	if _, err := w.dst.Write(w.buf); err != nil {
		w.err = fmt.Errorf("smime: write content: %w", err)
	}
	w.buf = w.buf[:0]
}

// authenticate encrypts all there is in place and writes it with its tag, which
// follows the content as an element of its own (RFC 5083 section 2.1).
func (w *writer) authenticate() {
	sealed := w.gcm.Seal(w.buf[:0], w.nonce, w.buf, nil)
	content, tag := sealed[:len(sealed)-gcmTagSize], sealed[len(sealed)-gcmTagSize:]
	for _, b := range [][]byte{content, element(tagOctetString, tag)} {
		if _, err := w.dst.Write(b); err != nil {
			w.err = fmt.Errorf("smime: write content: %w", err)
			return
		}
	}
	w.buf = nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
