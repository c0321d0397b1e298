package smime

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"slices"
)

// Decrypt returns a reader of the content of the CMS message in src, in DER, BER
// or S/MIME form, sealed for cert (named by issuer and serial number or by subject
// key identifier, among any number of recipients) with RSA PKCS#1 v1.5 or OAEP and
// AES-128, -192 or -256: EnvelopedData in CBC mode, or AuthEnvelopedData in GCM.
// key is the private key of cert, commonly an [*rsa.PrivateKey].
//
// Decrypt reads the head of the message and fails with [ErrMalformed],
// [ErrTruncated], [ErrUnsupported], [ErrNotRecipient] or [ErrKeyMismatch]; so
// may the reader, or with [ErrDecrypt]. Content counts only once the reader has
// returned io.EOF: the last block is given out after the structure was seen to
// end as it should, and the padding was right.
//
// AuthEnvelopedData is held in memory, up to [MaxGCMContent], until its MAC was
// checked; one that was changed gives out nothing but [ErrDecrypt].
//
// Without it nothing proves that the content is what was sealed: CBC has no
// integrity, and one wrong key in 256 yields garbage with good padding. Verify the
// signed manifest and the digest of the message first.
//
// src is read to its end and left to the caller to close.
func Decrypt(src io.Reader, cert *x509.Certificate, key crypto.Decrypter) (io.Reader, error) {
	pub, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, unsupported("the certificate's key is %s, only RSA keys decrypt", keyName(cert))
	}
	if !pub.Equal(key.Public()) {
		return nil, ErrKeyMismatch
	}
	der, err := unarmor(src)
	if err != nil {
		return nil, err
	}
	ber := &berReader{src: der}
	head, err := readHead(ber, cert)
	if err != nil {
		return nil, err
	}
	how, err := unwrapOptions(head.wrappedAs, head.keySize)
	if err != nil {
		return nil, err
	}
	cek, err := key.Decrypt(rand.Reader, head.wrapped, how)
	if err != nil || len(cek) != head.keySize {
		return nil, ErrDecrypt
	}
	defer clear(cek)
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, ErrDecrypt
	}
	body, err := ber.octets()
	if err != nil {
		return nil, err
	}
	if head.gcm {
		return newGCMReader(ber, body, block, head)
	}
	return &reader{
		ber:  ber,
		body: body,
		cbc:  cipher.NewCBCDecrypter(block, head.iv),
		buf:  make([]byte, bufferSize),
	}, nil
}

// head is what of an (Auth)EnvelopedData is needed to read its content.
type head struct {
	wrapped   []byte // content key under the recipient's RSA key
	wrappedAs pkix.AlgorithmIdentifier
	keySize   int // of the content key in bytes
	gcm       bool
	iv        []byte // the nonce of GCM
	tagSize   int    // of GCM
}

// readHead reads up to the encrypted content and leaves ContentInfo, content,
// (Auth)EnvelopedData and EncryptedContentInfo open.
func readHead(r *berReader, cert *x509.Certificate) (_ *head, err error) {
	if err := r.enter(tagSequence); err != nil {
		return nil, err
	}
	var contentType asn1.ObjectIdentifier
	if err := r.unmarshal("content type", &contentType); err != nil {
		return nil, err
	}
	authenticated := contentType.Equal(oidAuthEnveloped)
	if !authenticated && !contentType.Equal(oidEnvelopedData) {
		return nil, unsupported("content type %v is neither EnvelopedData nor AuthEnvelopedData", contentType)
	}
	if err := r.enter(tagContext0 | constructed); err != nil {
		return nil, err
	}
	if err := r.enter(tagSequence); err != nil {
		return nil, err
	}
	var version int
	if err := r.unmarshal("version", &version); err != nil {
		return nil, err
	}
	if tag, err := r.peekTag(); err != nil {
		return nil, err
	} else if tag == tagContext0|constructed { // originatorInfo: certificates for key agreement
		if _, err := r.element(); err != nil {
			return nil, err
		}
	}
	h := new(head)
	if h.wrapped, h.wrappedAs, err = findRecipient(r, cert); err != nil {
		return nil, err
	}
	if err := r.enter(tagSequence); err != nil {
		return nil, err
	}
	var inner asn1.ObjectIdentifier // what the content is: data, or signedData if signed first
	if err := r.unmarshal("inner content type", &inner); err != nil {
		return nil, err
	}
	var alg pkix.AlgorithmIdentifier
	if err := r.unmarshal("content encryption algorithm", &alg); err != nil {
		return nil, err
	}
	n := slices.IndexFunc(contentCiphers, func(c contentCipher) bool { return c.id.Equal(alg.Algorithm) && c.gcm == authenticated })
	if n < 0 {
		return nil, unsupported("content cipher %v is not AES in CBC mode, or GCM in AuthEnvelopedData", alg.Algorithm)
	}
	h.keySize, h.gcm = contentCiphers[n].keySize, authenticated
	if authenticated {
		return h, h.readGCM(alg.Parameters)
	}
	if _, err := asn1.Unmarshal(alg.Parameters.FullBytes, &h.iv); err != nil || len(h.iv) != aes.BlockSize {
		return nil, malformed("the IV is not an octet string of %d bytes", aes.BlockSize)
	}
	return h, nil
}

// findRecipient reads RecipientInfos (RFC 5652 section 6.2) and returns the
// encrypted key meant for cert, and how it is encrypted.
func findRecipient(r *berReader, cert *x509.Certificate) (wrapped []byte, as pkix.AlgorithmIdentifier, err error) {
	if err := r.enter(tagSet); err != nil {
		return nil, as, err
	}
	for {
		done, err := r.atEnd()
		if err != nil {
			return nil, as, err
		}
		if done {
			break
		}
		info, err := r.element()
		if err != nil {
			return nil, as, err
		}
		if r.pos > maxHead {
			return nil, as, malformed("its head exceeds %d bytes", maxHead)
		}
		if wrapped != nil || info[0] != tagSequence {
			continue // found already, or not for RSA: key agreement, password and others are tagged [1] to [4]
		}
		if wrapped, as, err = keyFor(cert, info); err != nil {
			return nil, as, err
		}
	}
	if wrapped == nil {
		return nil, as, ErrNotRecipient
	}
	return wrapped, as, r.leave()
}

// keyFor returns the encrypted key in a KeyTransRecipientInfo and how it is
// encrypted, nil if that is for another certificate.
func keyFor(cert *x509.Certificate, info []byte) (wrapped []byte, as pkix.AlgorithmIdentifier, err error) {
	var ktri struct {
		Version      int
		RID          asn1.RawValue
		Algorithm    pkix.AlgorithmIdentifier
		EncryptedKey []byte
	}
	if rest, err := asn1.Unmarshal(info, &ktri); err != nil || len(rest) > 0 {
		return nil, as, malformed("a recipient is unreadable")
	}
	if rid := ktri.RID; rid.Class == asn1.ClassContextSpecific && rid.Tag == 0 {
		if len(cert.SubjectKeyId) == 0 || !bytes.Equal(rid.Bytes, cert.SubjectKeyId) {
			return nil, as, nil
		}
	} else {
		var name struct {
			Issuer asn1.RawValue
			Serial *big.Int
		}
		if rest, err := asn1.Unmarshal(rid.FullBytes, &name); err != nil || len(rest) > 0 {
			return nil, as, malformed("a recipient's name is unreadable")
		}
		if !bytes.Equal(name.Issuer.FullBytes, cert.RawIssuer) || name.Serial.Cmp(cert.SerialNumber) != 0 {
			return nil, as, nil
		}
	}
	return ktri.EncryptedKey, ktri.Algorithm, nil
}

// reader decrypts body. It holds the last block of ciphertext back until it
// knows whether more follows.
type reader struct {
	ber  *berReader
	body io.Reader
	cbc  cipher.BlockMode

	buf   []byte // plain, then held
	plain []byte // decrypted, not yet given out
	held  []byte // ciphertext of the block that may be the last
	err   error  // sticky, once plain is given out
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 && len(p) > 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

func (r *reader) fill() {
	n := copy(r.buf, r.held)
	var err error
	for n < len(r.buf) && err == nil {
		var m int
		m, err = r.body.Read(r.buf[n:])
		n += m
	}
	switch {
	case err == nil:
		r.held = r.buf[n-aes.BlockSize:]
		r.plain = r.buf[:n-aes.BlockSize]
		r.cbc.CryptBlocks(r.plain, r.plain)
	case err == io.EOF:
		r.plain, r.err = r.last(r.buf[:n])
	default:
		r.err = err
	}
}

// last checks that the message ends as it should before it decrypts the end of
// it, so that a structural error never depends on the padding.
func (r *reader) last(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, malformed("the encrypted content is not whole blocks")
	}
	if err := readTail(r.ber); err != nil {
		return nil, err
	}
	r.cbc.CryptBlocks(b, b)
	n, ok := unpad(b[len(b)-aes.BlockSize:])
	if !ok {
		return nil, ErrDecrypt
	}
	return b[:len(b)-n], io.EOF
}

// readTail closes what readHead left open and requires the source to end.
func readTail(r *berReader) error {
	if err := r.leave(); err != nil {
		return err
	}
	if tag, err := r.peekTag(); err != nil {
		return err
	} else if tag == tagContext0|constructed|1 { // unprotectedAttrs
		if _, err := r.element(); err != nil {
			return err
		}
	}
	return readEnd(r)
}

// readEnd closes what is open and requires the source to end.
func readEnd(r *berReader) error {
	for len(r.open) > 0 {
		if err := r.leave(); err != nil {
			return err
		}
	}
	switch _, err := r.src.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return malformed("bytes follow the end of it")
	default:
		return sourceError(err)
	}
}

// unpad returns how many bytes of the last block are padding (RFC 5652 section
// 6.3), in time that does not depend on them.
func unpad(block []byte) (n int, ok bool) {
	n = int(block[len(block)-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, len(block))
	for i, b := range block {
		inPadding := subtle.ConstantTimeLessOrEq(len(block)-i, n)
		good &= subtle.ConstantTimeSelect(inPadding, subtle.ConstantTimeByteEq(b, byte(n)), 1)
	}
	return n, good == 1
}

// unarmor returns the binary structure in src, without MIME headers and base64
// if it has them.
func unarmor(src io.Reader) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(src, bufferSize)
	first, err := r.Peek(1)
	if err != nil {
		return nil, sourceError(err)
	}
	if first[0] == tagSequence {
		return r, nil
	}
	if err := readMIMEHeader(r); err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(base64.NewDecoder(base64.StdEncoding, r), bufferSize), nil
}
