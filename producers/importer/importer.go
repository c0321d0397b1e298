// Package importer publishes files of JSON Lines to their topic: the way in for
// history that another system has exported.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"cdds/schemas"
)

// Publisher is where events go: producers.Publisher.
type Publisher interface {
	// PublishAsync takes over e, waiting while too much is outstanding, and calls
	// done once with the outcome, from any goroutine.
	PublishAsync(ctx context.Context, e schemas.Event, done func(error))
	// Flush waits for the outcome of everything published so far.
	Flush(ctx context.Context) error
}

// Options say what to import and where to.
type Options struct {
	Publisher Publisher
	// Topic is where the lines go, which also says what they are:
	// schemas.TopicInteractions or schemas.TopicContacts.
	Topic schemas.Topic
	// Names are another product's field names that lines may have in place of ours, or next to
	// them; empty: none.
	Names string
	// Files are paths; "-" is Stdin. Each may be plain, gzip or Zstandard, which is
	// told by its first bytes and not by its name.
	Files []string
	Stdin io.Reader
	// Progress receives how many bytes of the files have been read, compressed ones
	// as they are; total is 0 if unknown. It may be nil. Calls do not overlap.
	Progress func(done, total int64)
	// Refused is called with every refused line, in order and one at a time. Its error
	// ends the import. nil leaves it at the first few, which are in the Report.
	Refused func(Refusal) error
}

// lineLimit is the most bytes that a line has. Other names repeat values of the event.
func (o Options) lineLimit() int64 {
	if o.Names == "" {
		return schemas.MaxEventBytes
	}
	return maxLineBytes
}

// Report says what became of the lines. Read = Published + Refused once Import has
// returned no error; blank lines count nowhere.
type Report struct {
	Read      int64 `json:"read"`
	Published int64 `json:"published"`
	Refused   int64 `json:"refused"`
	// Refusals are the first maxRefusals of those refused, in order.
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Refusal is a line that is not an event.
type Refusal struct {
	File string `json:"file"`
	Line int64  `json:"line"`
	// Code is one of the schemas.Code constants; Reason a sentence.
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

const (
	maxRefusals = 20
	// maxLineBytes is an event of schemas.MaxEventBytes with a copy of all its values, and names.
	maxLineBytes = 2*schemas.MaxEventBytes + 4096
	// maxInFlight bounds the bytes of lines between being read and being handed to
	// the Publisher. It must hold at least one line of maxLineBytes.
	maxInFlight = 12 << 20
	// maxWorkers is more than one publishing goroutine can keep busy.
	maxWorkers = 8
)

// Import publishes every line of the files, in order. A line that is not an event
// is refused and reported; it stops nothing. What does stop it, with an error that
// names file and line: a file that cannot be read, and an event that cannot be
// published. The Report then says how far it got, and importing everything again
// is safe: an event published twice is stored once.
//
// Lines are decoded on all cores. Memory stays within a few times maxInFlight,
// beside what Publisher holds.
func Import(ctx context.Context, o Options) (Report, error) {
	decode, err := decoderOf(o.Topic, o.Names)
	if err != nil {
		return Report{}, err
	}
	in, err := openAll(o)
	if err != nil {
		return Report{}, err
	}

	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	work := make(chan *block, workers)
	ordered := make(chan *block, 2*workers)
	memory := semaphore.NewWeighted(maxInFlight)
	outcome := &outcome{refused: o.Refused}

	// A file that cannot be read further ends the reading only, so that the lines
	// before are published; an event that cannot be published ends everything. What
	// was handed to the Publisher by then is delivered under the caller's ctx.
	g, gctx := errgroup.WithContext(ctx)
	var unread error
	g.Go(func() error {
		defer close(work)
		defer close(ordered)
		unread = in.blocks(func(b *block) error {
			if err := memory.Acquire(gctx, b.size()); err != nil {
				return err
			}
			for _, to := range []chan<- *block{ordered, work} {
				select {
				case to <- b:
				case <-gctx.Done():
					return gctx.Err()
				}
			}
			return nil
		})
		return nil
	})
	for range workers {
		g.Go(func() error {
			for b := range work {
				b.decode(decode)
				close(b.decoded)
			}
			return nil
		})
	}
	g.Go(func() error {
		for b := range ordered {
			select {
			case <-b.decoded:
			case <-gctx.Done():
				return gctx.Err()
			}
			if err := outcome.publish(ctx, o.Publisher, b); err != nil {
				return err
			}
			memory.Release(b.size())
		}
		return nil
	})
	err = g.Wait()
	flushed := o.Publisher.Flush(ctx)
	report, failed := outcome.result()
	switch {
	case ctx.Err() != nil:
		return report, ctx.Err()
	case failed != nil:
		return report, failed
	case err != nil:
		return report, err
	case unread != nil:
		return report, unread
	}
	return report, flushed
}

// outcome counts what becomes of lines; deliveries end on the Publisher's goroutines.
type outcome struct {
	refused func(Refusal) error // may be nil

	mu     sync.Mutex
	report Report
	// failed is the earliest of the lines that could not be published.
	failed *PublishError
}

// PublishError says which line could not be published.
type PublishError struct {
	File string
	Line int64
	Err  error
	// read orders the lines of all files.
	read int64
}

func (e *PublishError) Error() string {
	return fmt.Sprintf("%s line %d: publish: %v", e.File, e.Line, e.Err)
}
func (e *PublishError) Unwrap() error { return e.Err }

// publish hands over the events of a block, in order. It fails once any earlier one
// has failed.
func (o *outcome) publish(ctx context.Context, to Publisher, b *block) error {
	for i, line := range b.lines {
		read, err := o.count(line)
		if err != nil {
			return err
		}
		if line.refused != nil {
			if err := o.refuse(Refusal{b.file, line.number, line.refused.Code, line.refused.Reason}); err != nil {
				return err
			}
			continue
		}
		// Nothing below may hold the block, so that its memory goes with the events.
		file, number, event := b.file, line.number, line.event
		b.lines[i].event = nil
		to.PublishAsync(ctx, event, func(err error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if err == nil {
				o.report.Published++
			} else if o.failed == nil || read < o.failed.read {
				o.failed = &PublishError{file, number, err, read}
			}
		})
	}
	return nil
}

// count counts a line and returns its place among all.
func (o *outcome) count(line decodedLine) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return 0, o.failed
	}
	o.report.Read++
	if line.refused != nil {
		o.report.Refused++
	}
	return o.report.Read, nil
}

// refuse keeps a refusal if it is one of the first, and hands it on.
func (o *outcome) refuse(r Refusal) error {
	o.mu.Lock()
	if len(o.report.Refusals) < maxRefusals {
		o.report.Refusals = append(o.report.Refusals, r)
	}
	o.mu.Unlock()
	if o.refused == nil {
		return nil
	}
	return o.refused(r)
}

func (o *outcome) result() (Report, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil {
		return o.report, o.failed
	}
	return o.report, nil
}

// decoderOf returns what reads a line as an event of a topic.
func decoderOf(topic schemas.Topic, product string) (func([]byte) (schemas.Event, error), error) {
	var decode func([]byte) (schemas.Event, error)
	switch topic {
	case schemas.TopicInteractions:
		decode = func(b []byte) (schemas.Event, error) { return schemas.DecodeInteraction(b) }
	case schemas.TopicContacts:
		decode = func(b []byte) (schemas.Event, error) { return schemas.DecodeContact(b) }
	default:
		return nil, fmt.Errorf("topic %q takes no files", topic)
	}
	names := schemas.FieldNamesOf(product, schemas.EntityOf(topic))
	if names == nil {
		return decode, nil
	}
	return func(b []byte) (schemas.Event, error) {
		ours, err := names.Ours(b)
		if err != nil {
			return nil, err
		}
		return decode(ours)
	}, nil
}

// malformed is what a decoder's error says of a line.
func malformed(err error) *schemas.MalformedError {
	var m *schemas.MalformedError
	if errors.As(err, &m) {
		return m
	}
	return &schemas.MalformedError{Code: schemas.CodeEvent, Reason: err.Error()}
}
