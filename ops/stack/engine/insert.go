package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// bodyGrace is how long a client may go on sending the body of an INSERT that
// has failed already.
const bodyGrace = 2 * time.Second

// insert feeds the request's body to an INSERT through a pipe that the engine
// reads as a file. The body is never part of a query's text.
func (s *session) insert(ctx context.Context, a *answer, st statement, req request, body io.Reader) error {
	pr, pw, err := os.Pipe()
	if err != nil {
		return err
	}
	widen(pw)
	finished, fed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(fed)
		defer pw.Close()
		s.feed(pw, body, finished)
	}()
	defer context.AfterFunc(ctx, func() { a.stopReading(0) })()

	r, err := s.run(st.fromFile(fdPath(pr)), st.format, req.params...)
	close(finished)
	pr.Close() // a feed still writing fails now
	select {
	case <-fed:
	default:
		a.stopReading(bodyGrace)
		<-fed
	}
	if err = cmp.Or(err, cancelled(ctx)); err != nil {
		return err
	}
	a.summary(r)
	a.begin(req.format, req)
	return nil
}

// feed copies the body into the pipe. If the body breaks off, the query is
// killed before the pipe ends, or the engine would take what it has for all
// there is and commit it; the garbage at the end is for a query that
// has not begun yet.
func (s *session) feed(pw *os.File, body io.Reader, finished <-chan struct{}) {
	src := &source{r: body}
	if _, err := io.Copy(pw, src); err == nil {
		return
	}
	if src.err == nil { // the engine has stopped reading; let the client finish
		_, _ = io.Copy(io.Discard, body)
		return
	}
	for !s.kill() {
		select {
		case <-finished:
			return
		case <-time.After(killEvery):
		}
	}
	_, _ = pw.WriteString("\x00\xff}]abort\n")
}

// source remembers whether reading failed, as opposed to writing.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// fdPath names an open file so that the engine can open it.
func fdPath(f *os.File) string {
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}
	return fmt.Sprintf("/dev/fd/%d", f.Fd())
}
