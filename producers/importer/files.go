package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// files are the inputs, all known to exist before the first line is published.
type files struct {
	list     []input
	total    int64 // bytes, or 0 if unknown
	done     int64
	progress func(done, total int64)
	// limit is the most bytes that a line has.
	limit int64
}

// input is one file. Files are opened one after the other, so that many of them do
// not need as many descriptors.
type input struct {
	name  string
	stdin io.Reader // nil unless it is standard input
}

// openAll looks at every input, so that a wrong name is reported before anything is
// published.
func openAll(o Options) (*files, error) {
	fs := &files{progress: o.Progress, limit: o.lineLimit()}
	known := true
	for _, name := range o.Files {
		if name == "-" {
			if o.Stdin == nil {
				return nil, errors.New("there is no standard input")
			}
			fs.list = append(fs.list, input{"-", o.Stdin})
			known = false
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, fmt.Errorf("%s is a directory: name the files in it", name)
		}
		fs.list = append(fs.list, input{name: name})
		fs.total += info.Size()
		known = known && info.Mode().IsRegular()
	}
	if !known {
		fs.total = 0
	}
	return fs, nil
}

// countedReader tells progress in bytes as they are in the file, compressed or not.
type countedReader struct {
	r  io.Reader
	fs *files
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.fs.done += int64(n)
	if c.fs.progress != nil && n > 0 {
		c.fs.progress(c.fs.done, c.fs.total)
	}
	return n, err
}

// blocks calls each with the lines of all files, in order.
func (fs *files) blocks(each func(*block) error) error {
	for _, in := range fs.list {
		if err := fs.read(in, each); err != nil {
			return err
		}
	}
	return nil
}

func (fs *files) read(in input, each func(*block) error) error {
	r := in.stdin
	if r == nil {
		f, err := os.Open(in.name)
		if err != nil {
			return err
		}
		defer f.Close()
		r = f
	}
	plain, done, err := decompress(bufio.NewReaderSize(countedReader{r, fs}, readSize))
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	defer done()
	text := bufio.NewReaderSize(plain, readSize)
	head, _ := text.Peek(4) // split meets the error
	if name := encodingOf(head); name != "" {
		return &EncodingError{in.name, name}
	}
	return split(in.name, text, fs.limit, each)
}

// EncodingError says that a file is text, but not UTF-8.
type EncodingError struct {
	File string
	// Encoding is its name, as iconv knows it.
	Encoding string
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("%s is %s, and only UTF-8 is read", e.File, e.Encoding)
}

// encodingOf names the encoding of a file that begins with head, if it is UTF-16 or
// UTF-32: by a byte order mark, or by where the zeros are, since JSON begins with two
// characters of ASCII (RFC 4627 section 3).
func encodingOf(head []byte) string {
	if len(head) < 4 {
		return ""
	}
	zeros := [4]bool{head[0] == 0, head[1] == 0, head[2] == 0, head[3] == 0}
	switch {
	case bytes.Equal(head, []byte{0xff, 0xfe, 0, 0}), zeros == [4]bool{false, true, true, true}:
		return "UTF-32LE"
	case bytes.Equal(head, []byte{0, 0, 0xfe, 0xff}), zeros == [4]bool{true, true, true, false}:
		return "UTF-32BE"
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), zeros == [4]bool{false, true, false, true}:
		return "UTF-16LE"
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}), zeros == [4]bool{true, false, true, false}:
		return "UTF-16BE"
	}
	return ""
}

// readSize is the unit of reading in bytes.
const readSize = 128 << 10

// maxWindow is the most memory that the zstd program, too, gives a file unasked.
const maxWindow = 128 << 20

// decompress tells by the first bytes what r is: gzip (RFC 1952 section 2.3.1), a
// Zstandard frame (RFC 8878 section 3.1.1), or neither. The caller calls done.
func decompress(r *bufio.Reader) (plain io.Reader, done func(), err error) {
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		z.Multistream(false)
		return members{z, r}, func() { _ = z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// Decoding ahead on other goroutines would take them from decoding JSON.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// members reads the members of a gzip file one after the other. Zeros between and after
// them are skipped, as gzip does: tapes and some file systems fill blocks with them.
type members struct {
	z *gzip.Reader // of one member
	r *bufio.Reader
}

func (m members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		if n > 0 && errors.Is(err, io.EOF) {
			return n, nil // the member ends; the next call moves on
		}
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

// next moves on to the next member; io.EOF if none exists.
func (m members) next() error {
	for {
		b, err := m.r.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			break
		}
	}
	if err := m.r.UnreadByte(); err != nil {
		return err
	}
	if err := m.z.Reset(m.r); err != nil {
		return fmt.Errorf("after its compressed data comes something that is not gzip: %w", err)
	}
	m.z.Multistream(false)
	return nil
}
