package producers

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produce publishes records and returns when all are acknowledged, or with the first error.
func (p *Publisher) produce(ctx context.Context, records []*kgo.Record) error {
	var first error
	client := p.client.Load()
	for _, result := range client.ProduceSync(ctx, records...) {
		err := result.Err
		if stale(err) {
			err = p.produceAnew(ctx, client, result.Record)
		} else {
			err = p.outcome(result.Record, err)
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// stale reports whether a record was not published because the client knows its topic by
// an id that is gone, or was replaced for that reason.
func stale(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kgo.ErrClientClosed)
}

// maxAnew bounds how often a record is published with another client.
const maxAnew = 3

// produceAnew publishes a record whose topic was deleted and made again. A client never
// learns the new id, so the Publisher gets another client. (Purging the topic from the old
// one would begin its sequence numbers anew under the same producer id: of two records with
// one number the broker drops the second as a repetition, and says that it has it.)
func (p *Publisher) produceAnew(ctx context.Context, old *kgo.Client, r *kgo.Record) error {
	var err error
	for range maxAnew {
		if old, err = p.renewed(ctx, old); err != nil {
			return err
		}
		again := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
		if _, err = old.ProduceSync(ctx, again).First(); !stale(err) {
			break
		}
	}
	return p.outcome(r, err)
}

// renewed returns a client that is not old, making it unless somebody did. It waits for
// what old has in hand.
func (p *Publisher) renewed(ctx context.Context, old *kgo.Client) (*kgo.Client, error) {
	p.renewal.Lock()
	defer p.renewal.Unlock()
	if now := p.client.Load(); now != old {
		return now, nil
	}
	if p.closed {
		return nil, kgo.ErrClientClosed
	}
	flushing, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_ = old.Flush(flushing) // what is left then fails, and is published with the new client
	old.Close()
	client, err := kgo.NewClient(p.options...)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	p.client.Store(client)
	return client, nil
}
