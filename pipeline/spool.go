package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"cdds/pipeline/answer"
)

const spoolChunk = 256 << 10

// Spools hands out in-memory spools within a bound. It is safe for concurrent use.
type Spools struct {
	limit   int64
	bytes   *semaphore.Weighted
	mu      sync.Mutex
	idle    [][]byte
	maxIdle int
}

// NewSpools bounds what all reservations together may hold to limit bytes.
func NewSpools(limit int64) *Spools {
	return &Spools{limit: limit, bytes: semaphore.NewWeighted(limit), maxIdle: int(limit / spoolChunk)}
}

// TooLargeError says that something needs more memory than there may be.
type TooLargeError struct{ Needs, Limit int64 }

func (e *TooLargeError) Error() string {
	const mib = 1 << 20
	return fmt.Sprintf("it can need %d MiB of memory, and export.memory is %d MiB", (e.Needs+mib-1)/mib, e.Limit/mib)
}

// Means is answer.Permanent.
func (e *TooLargeError) Means() answer.Meaning { return answer.Permanent }

// Fits is a *TooLargeError if size bytes are more than all reservations together may have. Who
// only estimates has no Spools, and nothing is too large.
func (s *Spools) Fits(size int64) error {
	if s != nil && size > s.limit {
		return &TooLargeError{size, s.limit}
	}
	return nil
}

// Reserve waits until size bytes are free, or ctx ends, and returns what gives
// them back. What does not fit at all is a *TooLargeError.
func (s *Spools) Reserve(ctx context.Context, size int64) (release func(), err error) {
	if err := s.Fits(size); err != nil {
		return nil, err
	}
	if err := s.bytes.Acquire(ctx, size); err != nil {
		return nil, err
	}
	return func() { s.bytes.Release(size) }, nil
}

func (s *Spools) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		chunk := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return chunk
	}
	return make([]byte, 0, spoolChunk)
}

func (s *Spools) give(chunk []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < s.maxIdle {
		s.idle = append(s.idle, chunk[:0])
	}
}

// spool is bytes in memory, in chunks that go back when they are no longer needed.
type spool struct {
	from   *Spools
	chunks [][]byte
	size   int64
}

func (s *Spools) spool() *spool { return &spool{from: s} }

// Write appends p. It never fails.
func (s *spool) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if last := len(s.chunks) - 1; last < 0 || len(s.chunks[last]) == cap(s.chunks[last]) {
			s.chunks = append(s.chunks, s.from.take())
		}
		last := len(s.chunks) - 1
		chunk := s.chunks[last]
		k := min(len(p), cap(chunk)-len(chunk))
		s.chunks[last] = append(chunk, p[:k]...)
		p = p[k:]
	}
	s.size += int64(n)
	return n, nil
}

// drain writes everything to w, giving each chunk back once it is written.
func (s *spool) drain(w io.Writer) error {
	for len(s.chunks) > 0 {
		chunk := s.chunks[0]
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		s.chunks = s.chunks[1:]
		s.from.give(chunk)
	}
	s.size = 0
	return nil
}

// free gives every chunk back. The spool is empty afterwards.
func (s *spool) free() {
	for _, chunk := range s.chunks {
		s.from.give(chunk)
	}
	s.chunks, s.size = nil, 0
}

// reader reads the spool from its beginning; it may seek, so that an upload can
// be repeated. It is valid until drain or free.
func (s *spool) reader() io.ReadSeeker { return &spoolReader{s: s} }

type spoolReader struct {
	s  *spool
	at int64
}

func (r *spoolReader) Read(p []byte) (int, error) {
	if r.at >= r.s.size {
		return 0, io.EOF
	}
	chunk := r.s.chunks[r.at/spoolChunk]
	n := copy(p, chunk[r.at%spoolChunk:])
	r.at += int64(n)
	return n, nil
}

// WriteTo spares a copy.
func (r *spoolReader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for r.at < r.s.size {
		chunk := r.s.chunks[r.at/spoolChunk]
		n, err := io.Copy(w, bytes.NewReader(chunk[r.at%spoolChunk:]))
		written += n
		r.at += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (r *spoolReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.s.size
	}
	if offset < 0 {
		return 0, errors.New("pipeline: seek before the beginning of a spool")
	}
	r.at = offset
	return offset, nil
}
