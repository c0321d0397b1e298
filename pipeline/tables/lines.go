package tables

import (
	"bytes"
	"errors"
	"io"
)

// lines are the bytes of an answer without what is none of its rows. ClickHouse reports
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
