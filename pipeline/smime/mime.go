package smime

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/textproto"
	"strings"
)

const maxMIMEHeader = 64 << 10 // all lines together; mail servers add a few KiB

// readMIMEHeader reads the headers of an S/MIME message (RFC 8551 section 3.2)
// up to and with the empty line, and checks that base64 of
// (Auth)EnvelopedData follows.
func readMIMEHeader(r *bufio.Reader) error {
	var block []byte
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(block)+len(line) > maxMIMEHeader {
			return malformed("its headers exceed %d bytes", maxMIMEHeader)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return sourceError(err)
		}
		if len(block) == 0 && !bytes.Contains(line, []byte(":")) {
			return malformed("it is neither DER nor S/MIME")
		}
		if err != nil {
			return ErrTruncated
		}
		block = append(block, line...)
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
	}
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(block))).ReadMIMEHeader()
	if err != nil {
		return malformed("its headers are unreadable")
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return malformed("its Content-Type is unreadable")
	}
	if kind != "application/pkcs7-mime" && kind != "application/x-pkcs7-mime" {
		return unsupported("its Content-Type is not application/pkcs7-mime")
	}
	if t := params["smime-type"]; t != "" && !strings.EqualFold(t, "enveloped-data") && !strings.EqualFold(t, "authEnveloped-data") {
		return unsupported("its smime-type is neither enveloped-data nor authEnveloped-data")
	}
	if !strings.EqualFold(strings.TrimSpace(h.Get("Content-Transfer-Encoding")), "base64") {
		return unsupported("its Content-Transfer-Encoding is not base64")
	}
	return nil
}
