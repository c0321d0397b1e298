package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/schemas"
)

// syncTimeout bounds one Sync.
const syncTimeout = 20 * time.Second

// Sync returns once everything acknowledged before the call was applied, or with an
// error after 20 seconds. That is how a process reads what was written through another
// one: whoever would answer "none exists" syncs first.
//
// Calls at the same time share what they ask Kafka, so that any number of them asks one
// question at a time.
func (r *Replica) Sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	l, err := r.listed(ctx)
	if err != nil {
		return fmt.Errorf("offsets of %v: %w; `cdds provision` creates missing topics", r.opts.Topics, err)
	}
	for {
		r.mu.Lock()
		moved, behind := r.moved, r.behind(l)
		r.mu.Unlock()
		if behind == 0 {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("not read yet: %s of %v: %w", schemas.Counted(behind, "record"), r.opts.Topics, ctx.Err())
		}
	}
}

// listing is where the topics end.
type listing struct {
	end  kadm.ListedOffsets
	err  error
	made chan struct{} // closed when it is
}

// listed returns a listing that was made after the call: not the one that may be on its
// way, which may have been answered before.
func (r *Replica) listed(ctx context.Context) (*listing, error) {
	r.mu.Lock()
	if r.admin == nil {
		r.mu.Unlock()
		return nil, errors.New("they are not being read; is this process shutting down?")
	}
	l := r.next
	if l == nil {
		l = &listing{made: make(chan struct{})}
		r.next = l
		go r.list(context.WithoutCancel(ctx), l, r.admin)
	}
	r.mu.Unlock()
	select {
	case <-l.made:
		return l, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// list makes a listing. It outlives whoever asked first: others may wait for it too.
func (r *Replica) list(ctx context.Context, l *listing, admin *kadm.Client) {
	r.listing.Lock()
	defer r.listing.Unlock()
	r.mu.Lock()
	r.next = nil // who comes now comes too late for this one
	r.mu.Unlock()
	defer close(l.made)
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	// The last stable offsets: an open transaction must not hold up who reads what is committed.
	if l.end, l.err = admin.ListCommittedOffsets(ctx, r.names()...); l.err == nil {
		l.err = l.end.Error()
	}
	r.mu.Lock()
	known := l.err != nil || r.behind(l) == 0
	r.mu.Unlock()
	if !known { // now it matters where they begin
		l.err = r.skip(ctx, admin)
	}
}

// skip notes what will never be applied: positions before the log begins, or before Since.
func (r *Replica) skip(ctx context.Context, admin *kadm.Client) (err error) {
	var start kadm.ListedOffsets
	if r.opts.Since.IsZero() {
		start, err = admin.ListStartOffsets(ctx, r.names()...)
	} else {
		start, err = admin.ListOffsetsAfterMilli(ctx, r.opts.Since.UnixMilli(), r.names()...)
	}
	if err == nil {
		err = start.Error()
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	start.Each(func(o kadm.ListedOffset) {
		reached := r.reached[schemas.Topic(o.Topic)]
		reached[o.Partition] = max(reached[o.Partition], o.Offset)
	})
	return nil
}

// behind is how many positions before the end are not applied. The caller holds r.mu.
func (r *Replica) behind(l *listing) (n int64) {
	l.end.Each(func(o kadm.ListedOffset) {
		n += max(0, o.Offset-r.reached[schemas.Topic(o.Topic)][o.Partition])
	})
	return n
}
