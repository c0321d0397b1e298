package tables

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// lines are the bytes of the rows of an answer, without the rest. ClickHouse reports
// an exception in the middle of an answer in a frame that begins with a line break, and
// the client makes an error of the frame but hands that line break out as if it were
// data: half a row would look like a whole one, and a part that failed behind its last
// row like one that is too long.
type lines struct {
	io.ReadCloser
	held  []byte // a line break that may be the frame's
	ready []byte // read for a caller with little room
	small [512]byte
	err   error
}

func (l *lines) Read(p []byte) (int, error) {
	for len(l.ready) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		if len(p) >= len(l.small) {
			n := l.fill(p)
			if n > 0 {
				return n, nil
			}
			continue
		}
		l.ready = l.small[:l.fill(l.small[:])]
	}
	n := copy(p, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

// fill reads into p what can be handed out, and keeps the error for afterwards.
func (l *lines) fill(p []byte) int {
	n := copy(p, l.held)
	l.held = nil
	k, err := l.ReadCloser.Read(p[n:])
	n, l.err = n+k, err
	if errors.Is(err, io.EOF) {
		return n
	}
	for _, doubtful := range []string{"\r\n", "\r"} {
		if bytes.HasSuffix(p[:n], []byte(doubtful)) {
			n -= len(doubtful)
			if err == nil {
				l.held = []byte(doubtful)
			}
			break
		}
	}
	return n
}

// Lines are the rows of a query of two columns, a UInt64 and a String, as RowBinary has them:
// eight bytes, the length of the text as LEB128, the text. Read gives the texts alone, each
// ended by a line feed, and Sum is what the numbers of the rows begun so far come to. It is
// not safe for concurrent use.
type Lines struct {
	from  *bufio.Reader
	close io.Closer
	sum   uint64
	left  uint64 // of the text at hand
	ended bool   // the line feed after it is yet to be read
}

func newLines(answer io.ReadCloser) *Lines {
	return &Lines{from: bufio.NewReaderSize(&lines{ReadCloser: answer}, 64<<10), close: answer}
}

// Close ends the query.
func (l *Lines) Close() error { return l.close.Close() }

// Sum adds up the numbers, modulo 2^64.
func (l *Lines) Sum() uint64 { return l.sum }

// Read reads whole and parts of lines. It fails if the query does, however late.
func (l *Lines) Read(p []byte) (n int, err error) {
	for n < len(p) {
		switch {
		case l.left > 0:
			k, err := l.from.Read(p[n:min(uint64(len(p)), uint64(n)+l.left)])
			n, l.left = n+k, l.left-uint64(k)
			if err != nil {
				return n, cutOff(err)
			}
		case l.ended:
			p[n], l.ended = '\n', false
			n++
		case n > 0 && l.from.Buffered() == 0: // hand out what is there
			return n, nil
		default:
			if _, err := l.next(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Row reads the next row whole: its number, and its text in to, which grows as it must. It is
// io.EOF after the last one.
func (l *Lines) Row(to []byte) (number uint64, text []byte, err error) {
	if number, err = l.next(); err != nil {
		return 0, to, err
	}
	to = slices.Grow(to[:0], int(l.left))[:l.left]
	_, err = io.ReadFull(l.from, to)
	l.left, l.ended = 0, false
	return number, to, cutOff(err)
}

// next begins a row.
func (l *Lines) next() (number uint64, err error) {
	var head [8]byte
	if head[0], err = l.from.ReadByte(); err != nil { // here an answer may end
		return 0, err
	}
	if _, err := io.ReadFull(l.from, head[1:]); err != nil {
		return 0, cutOff(err)
	}
	if l.left, err = binary.ReadUvarint(l.from); err != nil {
		return 0, cutOff(err)
	}
	if l.left > maxRow {
		return 0, errors.New("the answer does not consist of rows: a text is longer than the longest allowed")
	}
	number = binary.LittleEndian.Uint64(head[:])
	l.sum, l.ended = l.sum+number, true
	return number, nil
}

// maxRow bounds the text of a row, in bytes: more than any record has.
const maxRow = 64 << 20

// cutOff is the error of an answer that ends within a row.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
