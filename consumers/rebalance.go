package consumers

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The four callbacks below are called one at a time, and never between a poll and
// AllowRebalance. Each is also called with nothing in it.

func (g *Group[E]) assigned(_ context.Context, client *kgo.Client, all map[string][]int32) {
	ids := all[string(g.opts.Topic)]
	if len(ids) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		p := newPartition(g, client, id)
		g.owned[id] = p
		go p.run()
	}
	g.setShare()
	g.opts.Logger.Info("partitions assigned", "partitions", ids, "owned", len(g.owned))
}

// offsetsFetched settles where each partition resumes, and tells it, so that it can
// notice when the log no longer has that offset.
func (g *Group[E]) offsetsFetched(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	committed := map[int32]int64{}
	for id, o := range offsets[string(g.opts.Topic)] {
		if at := o.EpochOffset().Offset; at >= 0 {
			committed[id] = at
		}
	}
	for id, at := range g.resume(ctx, committed) {
		if at < committed[id] {
			// No epoch: to go back is meant, not a sign that the log was cut.
			offsets[string(g.opts.Topic)][id] = kgo.NewOffset().At(at)
		}
		if p := g.partition(id); p != nil {
			p.resumeAt(min(at, committed[id]))
		}
	}
	return offsets, nil
}

// resumeTimeout bounds asking Options.Resume: a rebalance waits for it.
const resumeTimeout = 20 * time.Second

// resume asks Options.Resume.
func (g *Group[E]) resume(ctx context.Context, committed map[int32]int64) map[int32]int64 {
	if g.opts.Resume == nil || len(committed) == 0 {
		return committed
	}
	ctx, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	at, err := g.opts.Resume(ctx, maps.Clone(committed))
	if err != nil {
		g.opts.Logger.Warn("cannot tell whether what was handled is still there; going on from what was committed", "error", err)
		return committed
	}
	for id, offset := range at {
		if offset < committed[id] {
			g.opts.Logger.Error("what was handled is lost; reading it again", "partition", id, "from_offset", offset, "committed", committed[id])
		}
	}
	return at
}

// revoked hands partitions over: work ends, then what is done is committed.
func (g *Group[E]) revoked(ctx context.Context, client *kgo.Client, all map[string][]int32) {
	leaving := g.end(all[string(g.opts.Topic)])
	if len(leaving) == 0 {
		return
	}
	g.commitMu.Lock()
	defer g.commitMu.Unlock()
	if err := g.commit(ctx, client, leaving); err != nil {
		g.opts.Logger.Warn("the last commit before a rebalance failed; records will be handled again", "error", err)
	}
	g.forget(leaving)
}

// lost ends work on partitions that already belong to another member: there is
// nothing to commit, and to try could rewind the new owner.
func (g *Group[E]) lost(_ context.Context, _ *kgo.Client, all map[string][]int32) {
	leaving := g.end(all[string(g.opts.Topic)])
	if len(leaving) == 0 {
		return
	}
	g.opts.Logger.Warn("partitions lost; records handled since the last commit will be handled again", "partitions", all[string(g.opts.Topic)])
	g.commitMu.Lock()
	defer g.commitMu.Unlock()
	g.forget(leaving)
}

// end cancels the work on partitions and waits for it.
func (g *Group[E]) end(ids []int32) []*partition[E] {
	var leaving []*partition[E]
	for _, id := range ids {
		if p := g.partition(id); p != nil {
			p.cancel()
			leaving = append(leaving, p)
		}
	}
	for _, p := range leaving {
		<-p.done
	}
	return leaving
}

func (g *Group[E]) forget(leaving []*partition[E]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := make([]int32, 0, len(leaving))
	for _, p := range leaving {
		delete(g.owned, p.id)
		ids = append(ids, p.id)
		p.close()
	}
	g.setShare()
	signal(g.freed)
	g.opts.Logger.Info("partitions handed over", "partitions", ids, "owned", len(g.owned))
}

// setShare divides MaxBuffered among the owned partitions; g.mu is held.
func (g *Group[E]) setShare() {
	g.share.Store(int64(g.opts.MaxBuffered / max(1, len(g.owned))))
}

// partition is an owned partition, or nil.
func (g *Group[E]) partition(id int32) *partition[E] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.owned[id]
}

func (g *Group[E]) partitions() []*partition[E] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.owned))
}
