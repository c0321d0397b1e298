package consumers

import (
	"context"
	"errors"
	"sync"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Positions settles which incarnation a topic is in.
type Positions interface {
	// Settle returns the incarnations of a topic as it is now, having decided and recorded
	// what nobody had yet. An error says that it is not known; asking again may help.
	Settle(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error)
	// Lost takes note that a log lost what was read of it when its topic had the lineage l.
	// Nothing else may prove it: what was read last is not committed yet.
	Lost(topic schemas.Topic, l schemas.Lineage, partition int32, r schemas.Reached)
}

const (
	// Kafka's client goes on asking for a topic that is gone, and never for the one that has
	// its name now; nor does it say so.
	defaultSettleEvery = 10 * time.Second
	// settleTimeout bounds one look; a rebalance may have to wait for it.
	settleTimeout = 20 * time.Second
)

// errReplaced ends a session: its topic is in another incarnation now.
var errReplaced = errors.New("the topic was replaced, or its log lost records")

// Run joins the group and works until ctx is cancelled, then drains, commits,
// leaves the group and returns nil. Brokers that are down, a topic that does not
// exist yet, handlers that fail: all are waited for. When the topic is replaced, or its
// log loses records, Run leaves the group in order and joins that of the new incarnation.
// An error means that the Group could not start, or was run before.
func (g *Group[E]) Run(ctx context.Context) error {
	if !g.started.CompareAndSwap(false, true) {
		return errors.New("consumers: a Group runs once; make another with New")
	}
	for g.settle(ctx) {
		if err := g.session(ctx); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// settle finds out which incarnation to read, however long that takes; false if ctx ended.
func (g *Group[E]) settle(ctx context.Context) bool {
	if g.opts.Positions == nil {
		return ctx.Err() == nil
	}
	var logged everySoOften
	for n := 1; ctx.Err() == nil; n++ {
		l, err := g.look(ctx)
		if err == nil {
			g.mu.Lock()
			g.lineage = l
			g.mu.Unlock()
			g.unsettled.Store(nil)
			return true
		}
		g.unsettled.Store(&err)
		if logged.now() && ctx.Err() == nil {
			g.opts.Logger.Warn("cannot tell which positions the topic has; retrying", "attempts", n, "error", err)
		}
		select {
		case <-time.After(g.backoff(n)):
		case <-ctx.Done():
		}
	}
	return false
}

func (g *Group[E]) look(ctx context.Context) (schemas.Lineage, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return g.opts.Positions.Settle(ctx, g.opts.Topic)
}

// replaced reports whether the topic is in another incarnation than the session reads. It
// reports false if that is unknown.
func (g *Group[E]) replaced(ctx context.Context) bool {
	l, err := g.look(ctx)
	if err != nil {
		if ctx.Err() == nil {
			g.opts.Logger.Warn("cannot tell whether the topic was replaced; retrying", "error", err)
		}
		return false
	}
	return len(l) != len(g.lineage)
}

// session reads one incarnation of the topic until ctx ends or the topic is in another.
func (g *Group[E]) session(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	g.mu.Lock()
	g.work, g.stopping = work, make(chan struct{})
	clear(g.owned)
	g.mu.Unlock()
	member, err := g.opts.Cluster.Join(Membership{
		Group: g.lineage.Group(g.opts.GroupID), Topic: g.opts.Topic,
		Assigned: g.assigned, Begin: g.begin, Revoked: g.revoked, Lost: g.lost,
	})
	if err != nil {
		return err
	}
	g.member.Store(&member)

	committing := make(chan struct{})
	stopCommitting := make(chan struct{})
	go func() {
		defer close(committing)
		g.commitLoop(member, stopCommitting)
	}()
	polling, endPolling := context.WithCancelCause(ctx)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		g.watch(polling, endPolling)
	}()

	g.poll(polling, member, endPolling)

	endPolling(nil)
	<-watching
	g.drain(stopWork)
	close(stopCommitting)
	<-committing
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := member.Leave(leaving); err != nil { // revokes, so it commits
		g.opts.Logger.Warn("the group was not left in order; its partitions move on when the session times out", "error", err)
	}
	member.Close()
	g.member.Store(nil)
	return nil
}

// watch ends the session when the topic is in another incarnation.
func (g *Group[E]) watch(ctx context.Context, end context.CancelCauseFunc) {
	if g.opts.Positions == nil {
		return
	}
	for {
		select {
		case <-time.After(g.opts.settleEvery):
			if g.replaced(ctx) {
				end(errReplaced)
			}
		case <-ctx.Done():
			return
		}
	}
}

// poll moves fetched records to their partitions' queues until ctx is cancelled.
// Rebalances are held up only while it does so, never while it waits for records.
func (g *Group[E]) poll(ctx context.Context, member Member, end context.CancelCauseFunc) {
	defer member.Allow() // a cancelled poll blocks rebalances too
	for {
		g.awaitRoom(ctx)
		fetches := member.Poll(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return // what was polled last is not committed and comes again
		}
		same := sync.OnceValue(func() bool { return g.same(ctx) })
		ours := sameTopic(fetches, g.lineage)
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if ctx.Err() == nil && !(ours && g.arrive(ctx, member, f, same)) {
				end(errReplaced)
			}
		})
		if ctx.Err() != nil {
			return
		}
		member.Allow()
	}
}

// sameTopic reports whether records come from the topic whose incarnation is the last of a
// lineage. Brokers may not know yet that it was made again, and yet deliver the new one's.
func sameTopic(fetches kgo.Fetches, l schemas.Lineage) bool {
	for _, f := range fetches {
		for _, t := range f.Topics {
			if id := kadm.TopicID(t.TopicID); id != (kadm.TopicID{}) && l.TopicID() != "" && id.String() != l.TopicID() {
				return false
			}
		}
	}
	return true
}

// same reports whether the topic is known to be in the incarnation that the session reads.
func (g *Group[E]) same(ctx context.Context) bool {
	l, err := g.look(ctx)
	if err != nil && ctx.Err() == nil {
		g.opts.Logger.Warn("cannot tell whether the topic was replaced; reading it anew", "error", err)
	}
	return err == nil && len(l) == len(g.lineage)
}

// arrive queues what came of a partition; false if it may not be of the incarnation that
// the session reads, which same says.
func (g *Group[E]) arrive(ctx context.Context, member Member, f kgo.FetchTopicPartition, same func() bool) bool {
	p := g.partition(f.Partition)
	// A log that lost records has another leader. That it has one need not be noticed
	// otherwise by a member that was behind what got lost. Nor by one that is given the
	// partition now: others may have gone on to the next incarnation, and left it the group of
	// this one; or the topic was made again before the member knew its id.
	if epoch, any := epochOf(f.FetchPartition); p != nil && g.opts.Positions != nil && any && p.anotherEpoch(epoch) && !same() {
		return false
	}
	if p != nil && !p.push(f.FetchPartition) {
		return false
	}
	return f.Err == nil || g.pollFailed(ctx, member, p, f)
}

// pollFailed sees to an error that the client delivers in place of records; false if it
// says that the log is not the one that was read. Most errors are retried by the client.
func (g *Group[E]) pollFailed(ctx context.Context, member Member, p *partition[E], f kgo.FetchTopicPartition) bool {
	var tooLarge *kgo.ErrDecompressTooLarge
	if errors.As(f.Err, &tooLarge) {
		return p == nil || g.pass(member, p, f.FetchPartition, tooLarge)
	}
	var lost *kgo.ErrDataLoss
	if errors.As(f.Err, &lost) {
		g.metrics.resets.Inc()
		g.opts.Logger.Error("the log lost records that had been written",
			"partition", lost.Partition, "consumed_to", lost.ConsumedTo, "reset_to", lost.ResetTo)
		if g.opts.Positions == nil {
			return true
		}
		g.opts.Positions.Lost(g.opts.Topic, g.lineage, lost.Partition, schemas.Reached{Offset: lost.ConsumedTo, Diverges: lost.ResetTo})
		// Before anybody else is given the partition, who cannot know.
		_ = g.same(ctx)
		return false
	}
	if p != nil && f.Topic != "" {
		p.fetchFailed(f.Err)
	}
	if g.pollErrors.now() {
		g.opts.Logger.Warn("Kafka does not deliver; retrying", "partition", f.Partition, "error", f.Err)
	}
	return true
}

// pass dead-letters a batch that was not unpacked and goes on behind it: the client has
// stopped reading the partition. No commit may be under way meanwhile.
func (g *Group[E]) pass(member Member, p *partition[E], f kgo.FetchPartition, e *kgo.ErrDecompressTooLarge) bool {
	g.opts.Logger.Error("a batch cannot be unpacked, or is too large to be; its records are dead-lettered by position",
		"partition", e.Partition, "offset", e.Offset, "next", e.NextOffset, "limit_bytes", MaxBatchBytes)
	if !p.skip(f, e) {
		return false
	}
	g.committing.lock()
	defer g.committing.unlock()
	member.Seek(e.Partition, kgo.EpochOffset{Epoch: e.Epoch, Offset: e.NextOffset})
	return true
}

// drain lets handlers at work finish within Options.Drain, then cancels them.
func (g *Group[E]) drain(stopWork context.CancelFunc) {
	close(g.stopping)
	deadline := time.AfterFunc(g.opts.Drain, stopWork)
	defer deadline.Stop()
	for _, p := range g.partitions() {
		<-p.done
	}
}
