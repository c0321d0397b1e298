package smime

import (
	"bufio"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits on what a message may hold beside its content. Real heads are a few
// hundred bytes per recipient.
const (
	maxElement = 64 << 10 // one element read whole
	maxHead    = 1 << 20  // everything before the ciphertext
	maxDepth   = 12       // elements open at a time; CMS needs five to seven
)

// berReader walks down a BER structure (X.690 section 8) as it streams by. The
// elements that are open form a stack; none may be left before its end, and no
// read goes past the end of the innermost.
type berReader struct {
	src  *bufio.Reader
	pos  int64
	open []frame
}

// frame is an open constructed element. One of indefinite length ends at its
// end-of-contents octets, but never beyond the element around it.
type frame struct {
	end        int64
	indefinite bool
}

func (r *berReader) end() int64 {
	if len(r.open) == 0 {
		return math.MaxInt64
	}
	return r.open[len(r.open)-1].end
}

// readFull fills p, which must lie within the innermost open element.
func (r *berReader) readFull(p []byte) error {
	if int64(len(p)) > r.end()-r.pos {
		return malformed("an element overruns the one around it")
	}
	n, err := io.ReadFull(r.src, p)
	r.pos += int64(n)
	return sourceError(err)
}

// sourceError tells a message that ends or is no base64 from a source that
// fails.
func sourceError(err error) error {
	var corrupt base64.CorruptInputError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case errors.As(err, &corrupt):
		return malformed("base64 is damaged")
	}
	return fmt.Errorf("smime: read message: %w", err)
}

// header reads identifier and length octets. The length is -1 if indefinite.
func (r *berReader) header() (tag byte, length int64, err error) {
	var b [8]byte
	if err := r.readFull(b[:2]); err != nil {
		return 0, 0, err
	}
	tag = b[0]
	switch n := b[1]; {
	case tag&0x1f == 0x1f:
		return 0, 0, malformed("tag %#x is not one of CMS", tag)
	case n < 0x80:
		length = int64(n)
	case n == 0x80 && tag&constructed != 0:
		return tag, -1, nil
	case n == 0x80 || n > 0x88:
		return 0, 0, malformed("length octet %#x", n)
	default:
		if err := r.readFull(b[:n&0x7f]); err != nil {
			return 0, 0, err
		}
		for _, c := range b[:n&0x7f] {
			if length > math.MaxInt64>>8 {
				return 0, 0, malformed("a length exceeds 63 bits")
			}
			length = length<<8 | int64(c)
		}
	}
	if length > r.end()-r.pos {
		return 0, 0, malformed("an element overruns the one around it")
	}
	return tag, length, nil
}

// enter opens the next element, which must be constructed and have the tag.
func (r *berReader) enter(want byte) error {
	tag, length, err := r.header()
	if err != nil {
		return err
	}
	if tag != want {
		return malformed("tag %#x where %#x belongs", tag, want)
	}
	return r.push(length)
}

func (r *berReader) push(length int64) error {
	if len(r.open) == maxDepth {
		return malformed("nested deeper than %d levels", maxDepth)
	}
	if length < 0 {
		r.open = append(r.open, frame{r.end(), true})
	} else {
		r.open = append(r.open, frame{r.pos + length, false})
	}
	return nil
}

// atEnd reports whether the innermost element has no more contents.
func (r *berReader) atEnd() (bool, error) {
	f := r.open[len(r.open)-1]
	if !f.indefinite {
		return r.pos == f.end, nil
	}
	b, err := r.src.Peek(2)
	if err != nil {
		return false, sourceError(err)
	}
	return b[0] == 0 && b[1] == 0, nil
}

// leave closes the innermost element, which must be at its end.
func (r *berReader) leave() error {
	done, err := r.atEnd()
	if err != nil {
		return err
	}
	if !done {
		return malformed("an element holds more than it should")
	}
	if r.open[len(r.open)-1].indefinite {
		var eoc [2]byte
		if err := r.readFull(eoc[:]); err != nil {
			return err
		}
	}
	r.open = r.open[:len(r.open)-1]
	return nil
}

// element reads the next element whole and returns it in DER framing. It must
// be of definite length and no larger than maxElement.
func (r *berReader) element() ([]byte, error) {
	tag, length, err := r.header()
	if err != nil {
		return nil, err
	}
	if length < 0 || length > maxElement {
		return nil, malformed("an element of the head exceeds %d bytes", maxElement)
	}
	h := header(tag, length)
	b := make([]byte, len(h)+int(length))
	copy(b, h)
	return b, r.readFull(b[len(h):])
}

// unmarshal reads the next element into v by the rules of encoding/asn1.
func (r *berReader) unmarshal(what string, v any) error {
	b, err := r.element()
	if err != nil {
		return err
	}
	if rest, err := asn1.Unmarshal(b, v); err != nil || len(rest) > 0 {
		return malformed("%s is unreadable", what)
	}
	return nil
}

// peekTag returns the next identifier octet, or zero at the end of the
// innermost element.
func (r *berReader) peekTag() (byte, error) {
	if done, err := r.atEnd(); done || err != nil {
		return 0, err
	}
	b, err := r.src.Peek(1)
	if err != nil {
		return 0, sourceError(err)
	}
	return b[0], nil
}

// octets reads the value of an OCTET STRING: of one definite piece or, in BER,
// of pieces within pieces (X.690 section 8.7). It returns io.EOF at its end.
type octets struct {
	ber  *berReader
	base int   // frames open outside the string
	left int64 // in the current piece
}

// octets starts on the next element, an OCTET STRING tagged [0] IMPLICIT.
func (r *berReader) octets() (*octets, error) {
	tag, length, err := r.header()
	if err != nil {
		return nil, err
	}
	o := &octets{ber: r, base: len(r.open)}
	switch tag {
	case tagContext0:
		o.left = length
	case tagContext0 | constructed:
		err = r.push(length)
	default:
		err = malformed("there is no encrypted content")
	}
	return o, err
}

func (o *octets) Read(p []byte) (int, error) {
	for o.left == 0 {
		if len(o.ber.open) == o.base {
			return 0, io.EOF
		}
		done, err := o.ber.atEnd()
		if err != nil {
			return 0, err
		}
		if done {
			if err := o.ber.leave(); err != nil {
				return 0, err
			}
			continue
		}
		tag, length, err := o.ber.header()
		if err != nil {
			return 0, err
		}
		switch tag {
		case tagOctetString:
			o.left = length
		case tagOctetString | constructed:
			if err := o.ber.push(length); err != nil {
				return 0, err
			}
		default:
			return 0, malformed("tag %#x inside the encrypted content", tag)
		}
	}
	n, err := o.ber.src.Read(p[:min(int64(len(p)), o.left)])
	o.ber.pos += int64(n)
	o.left -= int64(n)
	if n > 0 {
		return n, nil // the next call meets a lasting error again
	}
	return 0, sourceError(err)
}
