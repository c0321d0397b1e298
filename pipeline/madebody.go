package pipeline

import (
	"errors"
	"io"
)

// madeBody reads what make writes, while it is made. It may be read again from the beginning.
// It is for one goroutine.
type madeBody struct {
	// make must return what it is given if writing fails.
	make func(io.Writer) error

	reader *io.PipeReader
	done   chan error
	err    error
}

func (b *madeBody) Read(p []byte) (int, error) {
	if b.reader == nil {
		r, w := io.Pipe()
		done := make(chan error, 1)
		b.reader, b.done, b.err = r, done, nil
		go func() {
			err := b.make(w)
			done <- err
			_ = w.CloseWithError(err) // never fails
		}()
	}
	return b.reader.Read(p)
}

// Seek goes to the beginning, which is all that repeating an upload needs.
func (b *madeBody) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("pipeline: what is made as it is read is read from its beginning")
	}
	_ = b.stop()
	return 0, nil
}

// stop ends what Read began, and returns what went wrong with making it.
func (b *madeBody) stop() error {
	if b.reader != nil {
		_ = b.reader.Close() // never fails
		if err := <-b.done; !errors.Is(err, io.ErrClosedPipe) {
			b.err = err
		}
		b.reader = nil
	}
	return b.err
}
