package consumers

import (
	"context"
	"maps"
	"slices"

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

// offsetsFetched settles where each partition is read from, and tells it, so that it can
// notice when the log no longer has that offset.
func (g *Group[E]) offsetsFetched(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	earlier := map[string]map[int32]Committed{} // what groups of earlier incarnations committed
	for id, o := range offsets[string(g.opts.Topic)] {
		at, committed := o.EpochOffset().Offset, true
		if at < 0 && g.lineage == nil {
			continue // where the log begins
		}
		if at < 0 {
			var err error
			if at, err = g.origin(ctx, id, earlier); err != nil {
				return nil, err
			}
			committed = false
			offsets[string(g.opts.Topic)][id] = kgo.NewOffset().At(at)
		}
		if p := g.partition(id); p != nil {
			p.beginAt(at, committed)
		}
	}
	return offsets, nil
}

// origin is where to begin to read a partition that the group has committed nothing of.
func (g *Group[E]) origin(ctx context.Context, partition int32, earlier map[string]map[int32]Committed) (int64, error) {
	from := g.lineage.Origin(g.opts.GroupID, partition)
	for _, group := range from.Groups[1:] { // the first is this one
		committed, asked := earlier[group]
		if !asked {
			var err error
			if committed, err = Kafka(g.client.Load()).Committed(ctx, group, g.opts.Topic); err != nil {
				return 0, err
			}
			earlier[group] = committed
		}
		if at, ok := committed[partition]; ok {
			return max(at.Offset, from.Offset), nil
		}
	}
	return from.Offset, nil
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
