package smime

import (
	"bytes"
	"crypto/cipher"
	"encoding/asn1"
	"io"
)

// readGCM reads GCMParameters (RFC 5084 section 3.2).
func (h *head) readGCM(params asn1.RawValue) error {
	p := struct {
		Nonce  []byte
		ICVLen int `asn1:"optional,default:12"`
	}{}
	if rest, err := asn1.Unmarshal(params.FullBytes, &p); err != nil || len(rest) > 0 {
		return malformed("the parameters of AES-GCM are unreadable")
	}
	if len(p.Nonce) != gcmNonceSize {
		return unsupported("its nonce has the length %d, not %d", len(p.Nonce), gcmNonceSize)
	}
	if p.ICVLen < 12 || p.ICVLen > gcmTagSize {
		return malformed("AES-GCM has no MAC of length %d", p.ICVLen)
	}
	h.iv, h.tagSize = p.Nonce, p.ICVLen
	return nil
}

// gcmReader opens the content of AuthEnvelopedData at the first Read: whole, or not
// at all.
type gcmReader struct {
	ber  *berReader
	body io.Reader
	gcm  cipher.AEAD
	head *head

	plain *bytes.Reader
	err   error // sticky
}

func newGCMReader(ber *berReader, body io.Reader, block cipher.Block, h *head) (io.Reader, error) {
	gcm, err := cipher.NewGCMWithTagSize(block, h.tagSize)
	if err != nil {
		return nil, unsupported("a MAC of length %d", h.tagSize)
	}
	return &gcmReader{ber: ber, body: body, gcm: gcm, head: h}, nil
}

func (r *gcmReader) Read(p []byte) (int, error) {
	if r.plain == nil && r.err == nil {
		var content []byte
		content, r.err = r.open()
		r.plain = bytes.NewReader(content)
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.plain.Read(p)
}

// open reads the rest of the message, then checks the MAC and decrypts.
func (r *gcmReader) open() ([]byte, error) {
	var sealed bytes.Buffer // grows as bytes come, not by what a length claims
	n, err := io.Copy(&sealed, io.LimitReader(r.body, MaxGCMContent+1))
	if err != nil {
		return nil, err
	}
	if n > MaxGCMContent {
		return nil, unsupported("its content exceeds the %d bytes that are held in memory", MaxGCMContent)
	}
	attributes, tag, err := r.tail()
	if err != nil {
		return nil, err
	}
	if len(tag) != r.head.tagSize {
		return nil, malformed("its MAC has the length %d where %d is announced", len(tag), r.head.tagSize)
	}
	content := append(sealed.Bytes(), tag...)
	plain, err := r.gcm.Open(content[:0], r.head.iv, content, attributes)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}

// tail reads what follows the encrypted content (RFC 5083 section 2.1): the
// attributes that are authenticated with it, as they are (section 2.2: tagged as
// the SET they are), the MAC, other attributes, and the end.
func (r *gcmReader) tail() (attributes, tag []byte, err error) {
	if err := r.ber.leave(); err != nil {
		return nil, nil, err
	}
	next, err := r.ber.peekTag()
	if err != nil {
		return nil, nil, err
	}
	if next == tagContext0|constructed|1 {
		if attributes, err = r.ber.element(); err != nil {
			return nil, nil, err
		}
		attributes[0] = tagSet
	}
	if err := r.ber.unmarshal("MAC", &tag); err != nil {
		return nil, nil, err
	}
	if next, err = r.ber.peekTag(); err != nil {
		return nil, nil, err
	}
	if next == tagContext0|constructed|2 {
		if _, err := r.ber.element(); err != nil {
			return nil, nil, err
		}
	}
	return attributes, tag, readEnd(r.ber)
}
