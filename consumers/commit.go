package consumers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// An export waits for the commit of what was published just before it was asked for.
	commitInterval = 10 * time.Millisecond
	commitTimeout  = 5 * time.Second
	// Kafka may lose what a group has committed: it expires, somebody deletes it. Whoever waits
	// for ingest would then wait for the next record.
	defaultRecommitEvery = time.Minute
)

// commitLoop commits positions soon after they move, until stop is closed. It does
// not commit a last time: leaving the group does.
func (g *Group[E]) commitLoop(member Member, stop <-chan struct{}) {
	failures := 0
	for {
		select {
		case <-g.dirty:
		case <-time.After(g.opts.recommitEvery):
			for _, p := range g.partitions() {
				p.commitAgain()
			}
		case <-stop:
			return
		}
		wait := commitInterval
		if err := g.commitOwned(member); err == nil {
			failures = 0
		} else {
			failures++
			wait = g.backoff(failures)
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

func (g *Group[E]) commitOwned(member Member) error {
	g.committing.lock()
	defer g.committing.unlock()
	return g.commit(context.Background(), member, g.partitions())
}

// commit writes the positions that moved; g.committing is held.
func (g *Group[E]) commit(ctx context.Context, member Member, parts []*partition[E]) error {
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
	refused, failed := member.Commit(ctx, moved)
	if failed == nil {
		for id, p := range byID {
			if err := refused[id]; err != nil {
				failed = errors.Join(failed, fmt.Errorf("partition %d: %w", id, err))
			} else {
				p.committedTo(moved[id])
			}
		}
	}
	if failed != nil {
		g.metrics.commitFailures.Inc()
	}
	return failed
}

// turn is a mutex that may be held while Kafka is asked: whoever waits for it is seen to
// wait, not to work, where time is simulated (testing/synctest).
type turn chan struct{}

func newTurn() turn    { return make(turn, 1) }
func (t turn) lock()   { t <- struct{}{} }
func (t turn) unlock() { <-t }
