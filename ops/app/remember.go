package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/pipeline/answer"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// rememberTimeout bounds one reading of all that was ever erased, some 400 bytes each.
const rememberTimeout = 10 * time.Minute

// erasedPage is how many erased subjects are handed on at a time.
const erasedPage = 1000

// erasedLog is cdds.erased; it is a warehouse.ErasedLog. Once it was read, its replica goes on
// reading, and waits with whatever comes until Read takes that.
type erasedLog struct {
	kafka  []kgo.Opt
	logger *slog.Logger

	replica *consumers.Replica // nil before Read, and after Rewind
	stop    context.CancelFunc
	ended   chan error
	pages   chan []*schemas.ErasedSubject

	mu     sync.Mutex
	page   []*schemas.ErasedSubject // what comes next
	failed error                    // why no more comes
}

// newErasedLog reaches for no broker. The app closes it.
func newErasedLog(a *App) (*erasedLog, error) {
	kafka, err := connect.Kafka(a.Config.Kafka, "erased", nil)
	l := &erasedLog{kafka: kafka, logger: a.Logger.With("role", "ingest.erased")}
	a.onStop("who was erased", func() error { l.Close(); return nil })
	return l, err
}

// Rewind implements warehouse.ErasedLog.
func (l *erasedLog) Rewind() { l.Close() }

// Close ends the replica, if there is one.
func (l *erasedLog) Close() {
	if l.replica != nil {
		l.stop()
		if err := <-l.ended; err != nil {
			l.logger.Warn("who was erased was not read to its end", "error", err)
		}
		l.replica, l.page, l.failed = nil, nil, nil
	}
}

// Read implements warehouse.ErasedLog.
func (l *erasedLog) Read(ctx context.Context, each func([]*schemas.ErasedSubject) error) error {
	within, cancel := context.WithTimeout(ctx, rememberTimeout)
	defer cancel()
	if err := l.start(within); err != nil {
		return fmt.Errorf("read who was erased: %w", err)
	}
	synced := make(chan error, 1)
	go func() { synced <- l.sync(within) }()
	for {
		select {
		case page := <-l.pages:
			if err := each(page); err != nil {
				return err
			}
		case err := <-synced:
			if err != nil {
				return fmt.Errorf("read who was erased: %w", err)
			}
			rest, err := l.rest()
			if err == nil && len(rest) > 0 {
				err = each(rest)
			}
			return err
		}
	}
}

// start starts a replica, unless there is one, and waits until it reads.
func (l *erasedLog) start(ctx context.Context) error {
	if l.replica == nil {
		replica, err := consumers.NewReplica(consumers.ReplicaOptions{Kafka: l.kafka, Topics: []schemas.Topic{schemas.TopicErased}, Logger: l.logger})
		if err != nil {
			return err
		}
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		l.replica, l.stop, l.ended, l.pages = replica, stop, make(chan error, 1), make(chan []*schemas.ErasedSubject)
		go func() {
			l.ended <- replica.Run(running, func(_ schemas.Topic, key, value []byte) { l.apply(running, key, value) })
		}()
	}
	select {
	case <-l.replica.Started():
		return nil
	case err := <-l.ended: // it never began
		l.ended <- err
		l.Close()
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply takes a record, and waits for a Read once there are many.
func (l *erasedLog) apply(ctx context.Context, key, value []byte) {
	if page := l.take(key, value); len(page) == erasedPage {
		select {
		case l.pages <- page:
		case <-ctx.Done():
		}
	}
}

// take adds a record to the page, and returns and forgets that if it is full.
func (l *erasedLog) take(key, value []byte) (full []*schemas.ErasedSubject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if value == nil || l.failed != nil {
		return nil
	}
	s, err := schemas.DecodeErasedSubject(value)
	if err != nil {
		// Only CDDS writes here. Going on would bring somebody back.
		l.failed = fmt.Errorf("a record of %s with the key %q: %w", schemas.TopicErased, key, err)
		return nil
	}
	if l.page = append(l.page, s); len(l.page) == erasedPage {
		full, l.page = l.page, nil
	}
	return full
}

// sync waits until whatever Kafka has by now was applied.
func (l *erasedLog) sync(ctx context.Context) error {
	for {
		err := l.replica.Sync(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(rememberPause):
		case <-ctx.Done():
			return err
		}
	}
}

// rest is what was applied and not handed on.
func (l *erasedLog) rest() (page []*schemas.ErasedSubject, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	page, l.page = l.page, nil
	return page, l.failed
}

const (
	// rememberPause is between attempts to learn who was erased.
	rememberPause = time.Second
	// rememberEvery is between looks whether ClickHouse still knows.
	rememberEvery = 15 * time.Second
)

// erasureRecord shows erasures, also how one ended that ClickHouse has lost.
type erasureRecord struct {
	*ledger.Ledger
	decided pipeline.Erasures
	logger  *slog.Logger
}

// RememberErasure implements warehouse.ErasureRecord.
func (r erasureRecord) RememberErasure(ctx context.Context, e schemas.Erasure) error {
	decided, err := r.decided.Recalled(ctx, e)
	switch {
	case err == nil:
		e = decided
	case answer.IsPermanent(err) || answer.Of(err) == answer.Refused: // ingest does not wait for what is only shown
		r.logger.WarnContext(ctx, "it is not known any more how an erasure ended", "tenant", e.Request.TenantID, "erasure", e.Request.ErasureID, "error", err)
	default:
		return err
	}
	return r.Ledger.RememberErasure(ctx, e)
}

// buildRemember is the part of ingest that sees to it, also where nothing is ingested,
// that ClickHouse holds nobody who was erased.
func buildRemember(a *App, f *warehouse.Forgetting) role {
	log := a.Logger.With("role", "ingest.erased")
	return role{"ingest.erased", func(ctx context.Context) error {
		for {
			pause := rememberEvery
			if err := f.Remember(ctx); err != nil && ctx.Err() == nil {
				log.Warn("it is not known who was erased, nothing is ingested; retrying", "error", err)
				pause = rememberPause
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
		}
	}, f.Ready}
}
