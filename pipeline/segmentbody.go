package pipeline

import (
	"crypto/sha256"
	"errors"
	"io"
)

// errChanged says that an object has other content than when it was examined.
var errChanged = errors.New("the object has other content than before")

// segmentBody reads the sealed message of a segment while it is made from its object. It may
// be read again from the beginning. Content of another digest is errChanged before the end,
// so that no store takes it for whole. It is for one goroutine.
type segmentBody struct {
	sum  string
	open func() (io.ReadCloser, error)
	seal func(io.Writer) (io.WriteCloser, error)

	reader *io.PipeReader
	done   chan error
	err    error
}

func (b *segmentBody) Read(p []byte) (int, error) {
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

// make writes the message. It returns errors of the object and of sealing, and no more than
// io.ErrClosedPipe if nobody reads on.
func (b *segmentBody) make(to io.Writer) (err error) {
	source, err := b.open()
	if err != nil {
		return err
	}
	defer source.Close()
	w, err := b.seal(to)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(sum, w), onlyReader{source}, make([]byte, 128<<10)); err != nil {
		return err
	}
	if hexSum(sum) != b.sum {
		return errChanged
	}
	return w.Close()
}

// Seek goes to the beginning, which is all that repeating an upload needs.
func (b *segmentBody) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("pipeline: a segment is read from its beginning")
	}
	_ = b.stop()
	return 0, nil
}

// stop ends what Read began, and returns what went wrong with the object or its sealing.
func (b *segmentBody) stop() error {
	if b.reader != nil {
		_ = b.reader.Close() // never fails
		if err := <-b.done; !errors.Is(err, io.ErrClosedPipe) {
			b.err = err
		}
		b.reader = nil
	}
	return b.err
}
