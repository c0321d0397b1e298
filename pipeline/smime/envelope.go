package smime

import (
	"bytes"
	"crypto/aes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
)

// Identifier octets used in CMS, X.690 section 8.1.2.
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0x80 // [0], primitive
	constructed    = 0x20 // bit: the contents are themselves elements
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidAuthEnveloped = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 23}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidRSAPSS        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidAES128CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidAES128GCM     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 6}
	oidAES192GCM     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 26}
	oidAES256GCM     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}
	oidOAEP          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}

	oidContentType     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidSHA256WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// wrapKey encrypts the content key for one recipient.
type wrapKey func(*rsa.PublicKey) ([]byte, error)

// envelopeHead returns everything of an EnvelopedData (RFC 5652 section 6.1) or
// AuthEnvelopedData message (RFC 5083 section 2.1) up to the first byte of
// ciphertext. Nothing follows that but the MAC of the latter: every length is
// definite and no unprotected attribute is written.
func (o Options) envelopeHead(recipients []*x509.Certificate, iv []byte, wrap wrapKey) ([]byte, error) {
	infos := make([][]byte, len(recipients))
	for i, cert := range recipients {
		info, err := recipientInfo(cert, o.KeyTransport, wrap)
		if err != nil {
			return nil, fmt.Errorf("smime: seal for recipient %d: %w", i+1, err)
		}
		infos[i] = info
	}
	slices.SortFunc(infos, bytes.Compare) // DER orders a SET OF by its encodings

	version := []byte{tagInteger, 1, 0}
	set := element(tagSet, infos...)
	contentType := objectID(oidData)
	envelope := objectID(oidEnvelopedData)
	if o.Cipher == AES256GCM {
		envelope = objectID(oidAuthEnveloped)
	}

	// From the inside out: each header needs the length of all that follows it.
	size := o.Cipher.sealedContentSize(o.ContentSize)
	head := header(tagContext0, size)
	for _, level := range []struct {
		tag    byte
		before [][]byte
		after  int64 // bytes that follow what is inside
	}{
		{tagSequence, [][]byte{contentType, o.Cipher.identifier(iv)}, 0}, // EncryptedContentInfo
		{tagSequence, [][]byte{version, set}, o.Cipher.trailerSize()},    // (Auth)EnvelopedData
		{tagContext0 | constructed, nil, 0},                              // content
		{tagSequence, [][]byte{envelope}, 0},                             // ContentInfo
	} {
		head = append(bytes.Join(level.before, nil), head...)
		size += level.after
		head = append(header(level.tag, int64(len(head))+size), head...)
	}
	return head, nil
}

// recipientInfo encodes a KeyTransRecipientInfo, version 0 as it names the
// certificate by issuer and serial number (RFC 5652 section 6.2.1).
func recipientInfo(cert *x509.Certificate, transport KeyTransport, wrap wrapKey) ([]byte, error) {
	if err := checkKey(cert); err != nil {
		return nil, err
	}
	key, err := wrap(cert.PublicKey.(*rsa.PublicKey))
	if err != nil {
		return nil, err
	}
	serial, err := asn1.Marshal(cert.SerialNumber)
	if err != nil {
		return nil, err
	}
	return element(tagSequence,
		[]byte{tagInteger, 1, 0},
		element(tagSequence, cert.RawIssuer, serial),
		transport.identifier(),
		element(tagOctetString, key),
	), nil
}

// paddedSize is the length of CBC ciphertext: there is always padding, a whole
// block of it if the content ends on a block boundary (RFC 5652 section 6.3).
func paddedSize(n int64) int64 {
	return n/aes.BlockSize*aes.BlockSize + aes.BlockSize
}

// header encodes identifier and length octets in DER.
func header(tag byte, length int64) []byte {
	if length < 0x80 {
		return []byte{tag, byte(length)}
	}
	n := 1
	for l := length >> 8; l > 0; l >>= 8 {
		n++
	}
	h := []byte{tag, 0x80 | byte(n)}
	for n--; n >= 0; n-- {
		h = append(h, byte(length>>(8*n)))
	}
	return h
}

func element(tag byte, contents ...[]byte) []byte {
	body := bytes.Join(contents, nil)
	return append(header(tag, int64(len(body))), body...)
}

func objectID(id asn1.ObjectIdentifier) []byte {
	b, err := asn1.Marshal(id)
	if err != nil {
		panic("smime: constant object identifier: " + err.Error())
	}
	return b
}
