package tables

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// answer hands out pieces, one a read, and then an error.
type answer struct {
	pieces []string
	err    error
}

func (a *answer) Close() error { return nil }
func (a *answer) Read(p []byte) (int, error) {
	if len(a.pieces) == 0 {
		return 0, a.err
	}
	n := copy(p, a.pieces[0])
	if a.pieces[0] = a.pieces[0][n:]; a.pieces[0] == "" {
		a.pieces = a.pieces[1:]
	}
	return n, nil
}

func TestTheFrameOfAnExceptionEndsNoRow(t *testing.T) {
	killed := errors.New("killed")
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		pieces []string
		err    error
		want   string
	}{
		{[]string{"{\"a\":1}\n{\"b\"\r\n"}, killed, "{\"a\":1}\n{\"b\""}, // half a row stays half a row
		{[]string{"one\n", "two\n\r\n"}, killed, "one\ntwo\n"},
		{[]string{"one\n", "two\n\r", "\n"}, killed, "one\ntwo\n"},
		{[]string{"one\n", "two\n", "\r", "\n"}, killed, "one\ntwo\n"},
		{[]string{"one\r\n", "two\n"}, killed, "one\r\ntwo\n"}, // a row may end with one of its own
		{[]string{"one\r\n", "two\r\n"}, io.EOF, "one\r\ntwo\r\n"},
		{[]string{"one\n", "two\r"}, io.EOF, "one\ntwo\r"},
		{[]string{long + "\n", long + "\r\n", long + "\r\n"}, killed, long + "\n" + long + "\r\n" + long},
		{nil, killed, ""},
		{nil, io.EOF, ""},
	} {
		for how, read := range map[string]func(io.Reader) io.Reader{
			"as it comes": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "by halves": iotest.HalfReader,
		} {
			source := &answer{append([]string{}, c.pieces...), c.err}
			got, err := io.ReadAll(read(&lines{ReadCloser: source}))
			if string(got) != c.want || !errors.Is(err, c.err) && c.err != io.EOF || c.err == io.EOF && err != nil {
				t.Errorf("%.60q, then %v, read %s: %.60q, %v", c.pieces, c.err, how, got, err)
			}
			source = &answer{append([]string{}, c.pieces...), c.err}
			buffer := make([]byte, 4096)
			var all []byte
			r, n := &lines{ReadCloser: source}, 0
			for err = nil; err == nil; all = append(all, buffer[:n]...) {
				n, err = r.Read(buffer)
			}
			if string(all) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%.60q, then %v, with much room: %.60q, %v", c.pieces, c.err, all, err)
			}
		}
	}
}

func TestLinesAreReadWithTheSumOfTheirNumbers(t *testing.T) {
	long := strings.Repeat("é\n", 100_000)
	row := func(number uint64, text string) string {
		return string(append(binary.AppendUvarint(binary.LittleEndian.AppendUint64(nil, number), uint64(len(text))), text...))
	}
	rows := row(7, `{"a":1}`) + row(math.MaxUint64, "") + row(2, long)
	want := "{\"a\":1}\n\n" + long + "\n"
	for how, read := range map[string]func(io.Reader) io.Reader{
		"as it comes": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "by halves": iotest.HalfReader,
	} {
		l := newLines(io.NopCloser(read(strings.NewReader(rows))))
		if err := iotest.TestReader(l, []byte(want)); err != nil || l.Sum() != 8 {
			t.Errorf("%s: the numbers come to %d, want 8; %v", how, l.Sum(), err)
		}
		l, got := newLines(io.NopCloser(read(strings.NewReader(rows)))), ""
		for {
			_, text, err := l.Row(nil)
			if err != nil {
				if !errors.Is(err, io.EOF) || got != want || l.Sum() != 8 {
					t.Errorf("%s: row by row there are %d bytes that come to %d, %v", how, len(got), l.Sum(), err)
				}
				break
			}
			got += string(text) + "\n"
		}
	}
	killed := errors.New("killed")
	for n := range len(rows) - len(long) { // wherever it breaks off, it does not end
		for _, ends := range []error{killed, io.EOF} {
			content, err := io.ReadAll(newLines(&answer{[]string{rows[:n]}, ends}))
			whole := n == 0 || n == len(row(7, `{"a":1}`)) || n == len(row(7, `{"a":1}`)+row(1, ""))
			if ends == killed && !errors.Is(err, killed) || ends == io.EOF && !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("after %d bytes and %v it says %v", n, ends, err)
			}
			if !strings.HasPrefix(want, string(content)) {
				t.Errorf("after %d bytes it read %q", n, content)
			}
		}
	}
	if _, err := io.ReadAll(newLines(io.NopCloser(strings.NewReader(row(1, "x") + "12345678\xff\xff\xff\xff\xff\x01")))); err == nil {
		t.Error("a text of terabytes is read")
	}
}
