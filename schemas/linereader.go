package schemas

import (
	"bytes"
	"fmt"
)

// lineReader goes through a row that was checked when it was stored. It finds where values begin
// and end; it does not check what is in them.
type lineReader struct {
	in []byte
	at int
}

// members gives each the members of the object that line is: the name as it is quoted, and the
// value. Both are parts of line.
func (l *lineReader) members(line []byte, each func(quoted, value []byte)) error {
	l.in, l.at = line, 0
	if l.space(); l.peek() != '{' {
		return l.broken("an object")
	}
	l.at++
	if l.space(); l.peek() == '}' {
		l.at++
		return l.ends()
	}
	for {
		l.space()
		quoted, err := l.text()
		if err != nil {
			return err
		}
		if l.space(); l.peek() != ':' {
			return l.broken("a colon")
		}
		l.at++
		l.space()
		begin := l.at
		if err := l.skip(); err != nil {
			return err
		}
		each(quoted, line[begin:l.at])
		l.space()
		switch l.peek() {
		case ',':
			l.at++
		case '}':
			l.at++
			return l.ends()
		default:
			return l.broken("a comma or the end of an object")
		}
	}
}

// ends is an error if anything follows.
func (l *lineReader) ends() error {
	if l.space(); l.at != len(l.in) {
		return l.broken("the end")
	}
	return nil
}

func (l *lineReader) broken(want string) error {
	return fmt.Errorf("a stored row is not JSON: byte %d is not %s", l.at, want)
}

// peek is the next byte, 0 at the end.
func (l *lineReader) peek() byte {
	if l.at < len(l.in) {
		return l.in[l.at]
	}
	return 0
}

func (l *lineReader) space() {
	for l.at < len(l.in) {
		switch l.in[l.at] {
		case ' ', '\t', '\r', '\n':
			l.at++
		default:
			return
		}
	}
}

// text reads a quoted text.
func (l *lineReader) text() ([]byte, error) {
	begin := l.at
	if l.peek() != '"' {
		return nil, l.broken("a quote")
	}
	for l.at++; ; l.at++ {
		end := bytes.IndexByte(l.in[l.at:], '"')
		if end < 0 {
			l.at = len(l.in)
			return nil, l.broken("the end of a text")
		}
		l.at += end
		backslashes := 0
		for l.in[l.at-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			l.at++
			return l.in[begin:l.at], nil
		}
	}
}

// skip goes past a value.
func (l *lineReader) skip() error {
	depth := 0
	for l.at < len(l.in) {
		switch c := l.in[l.at]; c {
		case '"':
			if _, err := l.text(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			l.at++
		case '}', ']':
			if depth == 0 {
				return l.broken("a value")
			}
			depth--
			l.at++
		case ' ', '\t', '\r', '\n', ',', ':':
			if depth == 0 {
				return l.broken("a value")
			}
			l.at++
			continue
		default:
			l.word()
		}
		if depth == 0 {
			return nil
		}
	}
	return l.broken("a value")
}

// word goes past a number, true, false or null.
func (l *lineReader) word() {
	for l.at < len(l.in) {
		switch l.in[l.at] {
		case ',', ':', '}', ']', '"', '{', '[', ' ', '\t', '\r', '\n':
			return
		}
		l.at++
	}
}
