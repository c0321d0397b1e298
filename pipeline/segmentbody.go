package pipeline

import (
	"crypto/sha256"
	"errors"
	"io"
)

// errChanged says that an object has other content than when it was examined.
var errChanged = errors.New("the object has other content than before")

// segmentBody makes the sealed message of a segment from its object. Content of another digest
// is errChanged before the end, so that no store takes it for whole.
type segmentBody struct {
	sum  string
	open func() (io.ReadCloser, error)
	seal func(io.Writer) (io.WriteCloser, error)
}

// make writes the message. It returns errors of the object and of sealing, and no more than
// io.ErrClosedPipe if nobody reads on.
func (b segmentBody) make(to io.Writer) (err error) {
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
