package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// An export waits for the commit of what was published just before it was asked for.
	commitInterval = 10 * time.Millisecond
	commitTimeout  = 5 * time.Second
)

// commitLoop commits positions soon after they move, until stop is closed. It does
// not commit a last time: leaving the group does.
func (g *Group[E]) commitLoop(client *kgo.Client, stop <-chan struct{}) {
	failures := 0
	for {
		select {
		case <-g.dirty:
		case <-stop:
			return
		}
		wait := commitInterval
		if err := g.commitOwned(client); err == nil {
			failures = 0
		} else {
			failures++
			wait = backoff(failures)
			g.opts.Logger.Warn("commit failed; repeating it", "error", err, "failures", failures)
			signal(g.dirty)
		}
		select {
		case <-time.After(wait):
		case <-stop:
			return
		}
	}
}

func (g *Group[E]) commitOwned(client *kgo.Client) error {
	g.commitMu.Lock()
	defer g.commitMu.Unlock()
	return g.commit(context.Background(), client, g.partitions())
}

// commit writes the positions that moved; g.commitMu is held.
func (g *Group[E]) commit(ctx context.Context, client *kgo.Client, parts []*partition[E]) error {
	topic := string(g.opts.Topic)
	moved := make(map[int32]kgo.EpochOffset)
	byID := make(map[int32]*partition[E])
	for _, p := range parts {
		if at, ok := p.uncommitted(); ok {
			moved[p.id], byID[p.id] = at, p
		}
	}
	if len(moved) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var failed error
	client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{topic: moved},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				failed = err
				return
			}
			for _, t := range resp.Topics {
				for _, rp := range t.Partitions {
					if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
						failed = errors.Join(failed, fmt.Errorf("partition %d: %w", rp.Partition, err))
					} else if p := byID[rp.Partition]; p != nil {
						p.committedTo(moved[rp.Partition])
					}
				}
			}
		})
	if failed != nil {
		g.metrics.commitFailures.Inc()
	}
	return failed
}
