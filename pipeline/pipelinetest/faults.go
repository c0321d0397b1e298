// Package pipelinetest has what package pipeline runs on, in memory, and a switch
// that breaks it: a Store, a Source, and Faults that fail or hold the n-th call of
// either, before or after its effect. The suites TestStore and TestSource hold the
// twins and the real ones to the same contract.
package pipelinetest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// ErrInjected is the error of every injected fault.
var ErrInjected = errors.New("injected fault")

// Moment is when a fault strikes: After means that the effect is there although the
// caller sees an error, as when an answer is lost.
type Moment bool

// The moments of a call.
const (
	Before Moment = false
	After  Moment = true
)

// Faults is the switch. The zero value disturbs nothing and counts calls. It is safe
// for concurrent use.
type Faults struct {
	// Step, if set, is called at both moments of every call, which are numbered from
	// 1; its error is what the caller sees. It may block: that is a paused worker.
	Step func(call int, m Moment) error

	mu    sync.Mutex
	calls int
}

// FailAt fails one call at one moment, and no other.
func FailAt(call int, m Moment) *Faults {
	return &Faults{Step: func(c int, at Moment) error {
		if c == call && at == m {
			return ErrInjected
		}
		return nil
	}}
}

// Calls is how many calls were made.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Do makes one call, whose effect is that of effect.
func (f *Faults) Do(effect func() error) error {
	f.mu.Lock()
	f.calls++
	n := f.calls
	f.mu.Unlock()
	if f.Step == nil {
		return effect()
	}
	if err := f.Step(n, Before); err != nil {
		return err
	}
	outcome := effect()
	if err := f.Step(n, After); err != nil {
		return err // the answer, whatever it was, is lost
	}
	return outcome
}

// Store returns s as it is seen through the switch.
func (f *Faults) Store(s pipeline.Store) pipeline.Store { return faultyStore{f, s} }

// Source returns s as it is seen through the switch. Of Rows, After means that the
// stream breaks off.
func (f *Faults) Source(s pipeline.Source) pipeline.Source { return faultySource{f, s} }

// Objects returns o as it is seen through the switch; After means that reading fails.
func (f *Faults) Objects(o pipeline.Objects) pipeline.Objects { return faultyObjects{f, o} }

type faultyObjects struct {
	faults  *Faults
	objects pipeline.Objects
}

func (o faultyObjects) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	var r io.ReadCloser
	var opening error
	breaksOff := o.faults.Do(func() error { r, opening = o.objects.Open(ctx, key); return nil })
	switch {
	case opening != nil:
		return nil, opening
	case r == nil:
		return nil, breaksOff
	}
	return &brokenRows{r, breaksOff, 3}, nil
}

func (o faultyObjects) OpenAt(ctx context.Context, key, version string, offset, size int64) (io.ReadCloser, string, error) {
	var is string
	r, err := faultyObjects{o.faults, section{o.objects, version, offset, size, &is}}.Open(ctx, key)
	return r, is, err
}

// section makes OpenAt look like Open.
type section struct {
	pipeline.Objects
	version      string
	offset, size int64
	is           *string
}

func (s section) Open(ctx context.Context, key string) (r io.ReadCloser, err error) {
	r, *s.is, err = s.OpenAt(ctx, key, s.version, s.offset, s.size)
	return r, err
}

type faultyStore struct {
	faults *Faults
	store  pipeline.Store
}

func (s faultyStore) Put(ctx context.Context, key string, content bucket.Content) error {
	return s.faults.Do(func() error { return s.store.Put(ctx, key, content) })
}

func (s faultyStore) PutBytes(ctx context.Context, key string, content []byte, contentType string) error {
	return s.faults.Do(func() error { return s.store.PutBytes(ctx, key, content, contentType) })
}

func (s faultyStore) Stat(ctx context.Context, key string) (o bucket.Object, err error) {
	err = s.faults.Do(func() error { o, err = s.store.Stat(ctx, key); return err })
	return o, err
}

func (s faultyStore) GetBytes(ctx context.Context, key string, limit int64) (content []byte, err error) {
	err = s.faults.Do(func() error { content, err = s.store.GetBytes(ctx, key, limit); return err })
	return content, err
}

func (s faultyStore) Open(ctx context.Context, key string) (r io.ReadCloser, err error) {
	err = s.faults.Do(func() error { r, err = s.store.Open(ctx, key); return err })
	return r, err
}

func (s faultyStore) List(ctx context.Context, prefix string) (all []bucket.Object, err error) {
	err = s.faults.Do(func() error { all, err = s.store.List(ctx, prefix); return err })
	return all, err
}

func (s faultyStore) Remains(ctx context.Context, prefix string) (all []bucket.Object, err error) {
	err = s.faults.Do(func() error { all, err = s.store.Remains(ctx, prefix); return err })
	return all, err
}

// Folders is one call, however many there are.
func (s faultyStore) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	var all []string
	err := s.faults.Do(func() error {
		for folder, err := range s.store.Folders(ctx, prefix) {
			if err != nil {
				return err
			}
			all = append(all, folder)
		}
		return nil
	})
	return func(yield func(string, error) bool) {
		for _, folder := range all {
			if !yield(folder, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (s faultyStore) Remove(ctx context.Context, key string) error {
	return s.faults.Do(func() error { return s.store.Remove(ctx, key) })
}

// RemoveAll may fail at each object.
func (s faultyStore) RemoveAll(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := s.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

type faultySource struct {
	faults *Faults
	source pipeline.Source
}

func (s faultySource) Extent(ctx context.Context, q warehouse.Query) (e warehouse.Extent, err error) {
	err = s.faults.Do(func() error { e, err = s.source.Extent(ctx, q); return err })
	return e, err
}

func (s faultySource) Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error {
	return s.faults.Do(func() error { return s.source.Chunks(ctx, q, n, each) })
}

func (s faultySource) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	var rows warehouse.Lines
	var opening error
	breaksOff := s.faults.Do(func() error { rows, opening = s.source.Rows(ctx, q, first, last); return nil })
	switch {
	case opening != nil:
		return nil, opening
	case rows == nil:
		return nil, breaksOff
	}
	return &brokenLines{brokenRows{rows, breaksOff, 100}, rows}, nil
}

func (s faultySource) Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error {
	return s.faults.Do(func() error { return s.source.Attached(ctx, q, first, last, each) })
}

func (s faultySource) AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(schemas.RowKey, uint64, []uint64)) error {
	return s.faults.Do(func() error { return s.source.AttachmentSizes(ctx, q, first, last, each) })
}

// brokenLines are brokenRows that tell which versions they are of.
type brokenLines struct {
	brokenRows
	lines warehouse.Lines
}

func (l *brokenLines) Sum() uint64 { return l.lines.Sum() }

// brokenRows fails after some bytes, unless err is nil.
type brokenRows struct {
	io.ReadCloser
	err  error
	left int
}

func (r *brokenRows) Read(p []byte) (int, error) {
	switch {
	case r.err == nil:
		return r.ReadCloser.Read(p)
	case r.left == 0:
		return 0, r.err
	}
	n, err := r.ReadCloser.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

func (s faultySource) ErasedUntil(ctx context.Context, tenantID, entity string, from time.Time) (until time.Time, erased bool, err error) {
	err = s.faults.Do(func() error { until, erased, err = s.source.ErasedUntil(ctx, tenantID, entity, from); return err })
	return until, erased, err
}

func (s faultySource) CountRemoved(ctx context.Context, q warehouse.Query) (n int64, err error) {
	err = s.faults.Do(func() error { n, err = s.source.CountRemoved(ctx, q); return err })
	return n, err
}

func (s faultySource) Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error {
	return s.faults.Do(func() error { return s.source.Removed(ctx, q, first, last, each) })
}
