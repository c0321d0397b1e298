package auth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// topic is cdds.access and cdds.audit: what was published, in order, and who reads it.
type topic struct {
	mu       sync.Mutex
	events   []schemas.Event
	messages []message
	readers  []*auth.Directory
	removed  []string
	// before runs once, when the next change has been made and is not published yet.
	before func()
}

// message is one of cdds.access.
type message struct{ key, value []byte }

func (p *topic) Publish(_ context.Context, events ...schemas.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return err
		}
		p.events = append(p.events, e)
		if e.Topic() == schemas.TopicAccess {
			value, err := schemas.Encode(e)
			if err != nil {
				return err
			}
			m := message{[]byte(e.Key()), value}
			p.messages = append(p.messages, m)
			for _, d := range p.readers {
				if err := d.Read(m.key, m.value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Change is what producers.Records does, where every process reads at once.
func (p *topic) Change(ctx context.Context, v schemas.Versioned) error {
	if before := p.before; before != nil {
		p.before = nil
		before()
	}
	attempt := schemas.NewAttempt(v)
	counts, stop := p.readers[0].Versions().Await(attempt)
	defer stop()
	if err := p.Publish(ctx, attempt); err != nil {
		return err
	}
	if !<-counts {
		return schemas.ErrChanged
	}
	return nil
}

// Remove is what producers.Records does.
func (p *topic) Remove(_ schemas.Topic, keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		p.removed = append(p.removed, key)
		for _, d := range p.readers {
			_ = d.Read([]byte(key), nil)
		}
	}
}

// reader is another process's copy of the topic.
func (p *topic) reader(t *testing.T, now func() time.Time) *auth.Directory {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	d := auth.NewDirectory(now)
	for _, m := range p.messages {
		check(t, d.Read(m.key, m.value))
	}
	p.readers = append(p.readers, d)
	return d
}

// audited are the actions and outcomes that were recorded.
func (p *topic) audited() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, e := range p.events {
		if a, ok := e.(*schemas.AuditRecord); ok {
			all = append(all, a.Action+" "+a.Outcome)
		}
	}
	return strings.Join(all, ", ")
}
