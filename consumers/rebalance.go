package consumers

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// The callbacks of a Membership are called one at a time, and never between a poll and
// Allow. Each is also called with nothing in it.

func (g *Group[E]) assigned(member Member, ids []int32) {
	if len(ids) == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		p := newPartition(g, member, id)
		g.owned[id] = p
		go p.run()
	}
	g.setShare()
	g.opts.Logger.Info("partitions assigned", "partitions", ids, "owned", len(g.owned))
}

// begin settles where each partition is read from and informs it, so that it can notice
// when the log no longer has that offset.
func (g *Group[E]) begin(ctx context.Context, member Member, committed map[int32]kgo.EpochOffset) (map[int32]kgo.EpochOffset, error) {
	from := map[int32]kgo.EpochOffset{}
	progress := progressOf{ctx, member.Brokers(), g.opts.GroupID, g.opts.Topic, map[int]map[int32]Mark{}}
	for _, id := range slices.Sorted(maps.Keys(committed)) {
		at := committed[id]
		if at.Offset < 0 && g.lineage == nil {
			continue // where the log begins
		}
		if at.Offset < 0 {
			begin, err := progress.begin(g.lineage, id, g.opts.Healed)
			if err != nil {
				return nil, err
			}
			at = kgo.EpochOffset{Epoch: begin.Epoch, Offset: begin.Offset}
			from[id] = at
		}
		if p := g.partition(id); p != nil {
			p.beginAt(at, committed[id].Offset >= 0)
		}
	}
	return from, nil
}

// progressOf is what a group has committed of a topic, by how long the lineage was by then.
type progressOf struct {
	ctx     context.Context
	brokers Brokers
	group   string
	topic   schemas.Topic
	known   map[int]map[int32]Mark
}

func (p progressOf) of(l schemas.Lineage, partition int32) (committed Mark, any bool, err error) {
	all, known := p.known[len(l)]
	if !known {
		if all, err = Progress(p.ctx, p.brokers, l, p.group, p.topic); err != nil {
			return committed, false, err
		}
		p.known[len(l)] = all
	}
	committed, any = all[partition]
	return committed, any, nil
}

// begin is where to read a partition of whose present incarnation the group has committed nothing.
// Where its log lost its tail, and what is left was not all handled, that is before the incarnation
// begins, unless a Healer sees to it: what is read there keeps the positions that it had.
func (p progressOf) begin(l schemas.Lineage, partition int32, healed bool) (at Mark, err error) {
	at.Offset, at.Epoch = l.Begin(partition)
	committed, any, err := p.of(l, partition)
	if err != nil || any && committed.Offset >= at.Offset {
		return committed, err
	}
	if healed {
		return at, nil
	}
	for l = l.Before(partition); l != nil; l = l.Before(partition) {
		if !any {
			if committed, any, err = p.of(l, partition); err != nil {
				return at, err
			}
		}
		if !any {
			committed.Offset, committed.Epoch = l.Begin(partition)
		}
		if committed.Offset < at.Offset {
			at = committed
		}
		if any {
			break
		}
	}
	return at, nil
}

// revoked hands partitions over: work ends, then what is done is committed.
func (g *Group[E]) revoked(ctx context.Context, member Member, ids []int32) {
	leaving := g.end(ids)
	if len(leaving) == 0 {
		return
	}
	g.committing.lock()
	defer g.committing.unlock()
	if err := g.commit(ctx, member, leaving); err != nil {
		g.opts.Logger.Warn("the last commit before a rebalance failed; records will be handled again", "error", err)
	}
	g.forget(leaving)
}

// lost ends work on partitions that already belong to another member: there is
// nothing to commit, and to try could rewind the new owner.
func (g *Group[E]) lost(ids []int32) {
	leaving := g.end(ids)
	if len(leaving) == 0 {
		return
	}
	g.opts.Logger.Warn("partitions lost; records handled since the last commit will be handled again", "partitions", ids)
	g.committing.lock()
	defer g.committing.unlock()
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
