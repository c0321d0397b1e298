package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"cdds/schemas"
)

// block is some consecutive lines of a file: the unit that is decoded at once. Its
// memory is never used again, since events may share it until the Publisher has let
// go of them.
type block struct {
	file  string
	data  []byte
	lines []decodedLine
	// decoded is closed when the lines are.
	decoded chan struct{}
}

// decodedLine is data[start:end], then either an event or the reason why not.
type decodedLine struct {
	number     int64
	start, end int
	event      schemas.Event
	refused    *schemas.MalformedError
}

const (
	blockSize  = 256 << 10 // bytes, unless a single line has more
	blockLines = 2000
)

// size is what the block costs of maxInFlight. A line at its limit must fit.
func (b *block) size() int64 { return min(int64(cap(b.data)), maxInFlight) }

func (b *block) decode(decode func([]byte) (schemas.Event, error)) {
	for i := range b.lines {
		line := &b.lines[i]
		if line.refused != nil {
			continue
		}
		event, err := decode(b.data[line.start:line.end:line.end])
		if err != nil {
			line.refused = malformed(err)
			continue
		}
		line.event = event
	}
}

// split cuts what r holds into lines. Blank ones are left out but numbered. Of a
// line over limit bytes only its place is kept.
func split(file string, r io.Reader, limit int64, each func(*block) error) error {
	in := bufio.NewReaderSize(r, readSize)
	var b *block
	for number := int64(1); ; number++ {
		if b == nil {
			b = &block{file: file, data: make([]byte, 0, blockSize), decoded: make(chan struct{})}
		}
		start := len(b.data)
		length, err := b.readLine(in, limit)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			// What came before is good: it is published before the error ends all.
			if len(b.lines) > 0 {
				if err := each(b); err != nil {
					return err
				}
			}
			return fmt.Errorf("%s line %d: %w", file, number, err)
		}
		b.add(start, number, length, limit)
		full := len(b.data) >= blockSize*3/4 || len(b.lines) >= blockLines
		if (full || end) && len(b.lines) > 0 {
			if err := each(b); err != nil {
				return err
			}
			b = nil
		}
		if end {
			return nil
		}
	}
}

// byteOrderMark begins the files of some programs on Windows.
var byteOrderMark = []byte("\xef\xbb\xbf")

// add makes a line of what was read since start; length is how long it was.
func (b *block) add(start int, number, length, limit int64) {
	if length > limit {
		b.data = b.data[:start]
		b.lines = append(b.lines, decodedLine{number: number, refused: &schemas.MalformedError{
			Code: schemas.CodeTooLarge, Reason: fmt.Sprintf("the line has %d bytes; the limit is %d", length, limit)}})
		return
	}
	text := b.data[start:]
	if number == 1 {
		text = bytes.TrimPrefix(text, byteOrderMark)
	}
	skipped := len(b.data) - start - len(text)
	text = bytes.TrimRight(text, " \t\r")
	if len(bytes.TrimLeft(text, " \t")) == 0 {
		b.data = b.data[:start]
		return
	}
	b.lines = append(b.lines, decodedLine{number: number, start: start + skipped, end: start + skipped + len(text)})
}

// readLine appends a line without its line feed to data, up to a little over
// limit, and returns its true length. At the end it returns io.EOF,
// with the last line if that has no line feed.
func (b *block) readLine(in *bufio.Reader, limit int64) (length int64, err error) {
	for {
		piece, err := in.ReadSlice('\n')
		ended := err == nil
		if ended {
			piece = piece[:len(piece)-1]
		}
		if length <= limit {
			b.data = append(b.data, piece...)
		}
		length += int64(len(piece))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return length, err
		}
	}
}
