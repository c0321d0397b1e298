package smime

import (
	"encoding/base64"
	"io"
)

// A line of S/MIME base64: openssl refuses one long line, so 48 bytes each.
const (
	lineBytes = 48
	lineChars = 64
)

// linesSize is the length of n bytes as a lineWriter writes them.
func linesSize(n int64) int64 {
	chars := (n + 2) / 3 * 4
	return chars + (chars+lineChars-1)/lineChars + 1
}

// lineWriter writes base64 in lines of 64 characters, and at Close the last line
// and an empty one, as openssl does. It encodes whole lines into one reused
// buffer: base64.NewEncoder with a line breaker behind it is several times
// slower.
type lineWriter struct {
	dst  io.Writer
	part []byte // the beginning of a line, in bytes
	out  []byte // encoded lines
}

func newLineWriter(dst io.Writer) *lineWriter {
	return &lineWriter{
		dst:  dst,
		part: make([]byte, 0, lineBytes),
		out:  make([]byte, 0, bufferSize/(lineChars+1)*(lineChars+1)),
	}
}

func (w *lineWriter) Write(p []byte) (int, error) {
	total := len(p)
	if len(w.part) > 0 {
		n := copy(w.part[len(w.part):lineBytes], p)
		w.part, p = w.part[:len(w.part)+n], p[n:]
		if len(w.part) < lineBytes {
			return total, nil
		}
		if err := w.line(w.part); err != nil {
			return 0, err
		}
		w.part = w.part[:0]
	}
	for ; len(p) >= lineBytes; p = p[lineBytes:] {
		if err := w.line(p[:lineBytes]); err != nil {
			return 0, err
		}
	}
	w.part = append(w.part, p...)
	return total, nil
}

func (w *lineWriter) line(b []byte) error {
	if cap(w.out)-len(w.out) < lineChars+1 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.out = append(base64.StdEncoding.AppendEncode(w.out, b), '\n')
	return nil
}

func (w *lineWriter) flush() error {
	_, err := w.dst.Write(w.out)
	w.out = w.out[:0]
	return err
}

func (w *lineWriter) Close() error {
	if len(w.part) > 0 {
		if err := w.line(w.part); err != nil {
			return err
		}
	}
	w.out = append(w.out, '\n') // may grow the buffer by one, once
	return w.flush()
}
