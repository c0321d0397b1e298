package simulate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
)

// member is a member of a group, as franz-go's client is with cooperative balancing and
// BlockRebalanceOnPoll: it is a consumers.Member.
type member struct {
	k    conn
	g    *group
	of   consumers.Membership
	life int // of the topic it subscribed to, see cursor

	// What follows belongs to the scheduler.
	owned      map[int32]*cursor
	paused     map[int32]bool
	fetched    []fetched
	generation int
	// heard is when the group heard of it last.
	heard time.Time
	// joined says that the group counts it, expelled that the group does so no longer and
	// that the member does not know.
	joined, expelled, left bool

	// holding is from a poll that brought something to Allow; busy while a callback is under
	// way. Each waits for the other.
	holding, busy bool
}

// fetched is what a fetch brought and nobody has polled yet.
type fetched struct {
	partition int32
	before    cursor
	kgo.FetchPartition
}

// Join implements consumers.Cluster.
func (k conn) Join(of consumers.Membership) (consumers.Member, error) {
	m := &member{
		k: k, of: of, owned: map[int32]*cursor{}, paused: map[int32]bool{}, generation: -1,
	}
	k.p.w.gate.mu.Lock()
	defer k.p.w.gate.mu.Unlock()
	k.p.members = append(k.p.members, m)
	return m, nil
}

// Poll implements consumers.Member.
func (m *member) Poll(ctx context.Context) (fetches kgo.Fetches) {
	name := fmt.Sprintf("poll %s", m.of.Group)
	err := m.k.p.wait(ctx, &call{service: atHome, name: name,
		ready: func() bool { return len(m.fetched) > 0 && !m.busy && !m.holding },
		effect: func() error {
			m.holding = true
			of := m.fetched
			m.fetched = nil
			for _, f := range of {
				fetches = append(fetches, fetchesOf(m.of.Topic, f.before.life, f.FetchPartition)...)
			}
			return nil
		}})
	if err != nil {
		return kgo.NewErrFetch(err)
	}
	return fetches
}

// Allow implements consumers.Member.
func (m *member) Allow() { m.locked(func() { m.holding = false }) }

// Pause implements consumers.Member. What was fetched of the partition is thrown away.
func (m *member) Pause(partition int32) {
	m.locked(func() { m.paused[partition] = true; m.discard(partition) })
}

// Resume implements consumers.Member.
func (m *member) Resume(partition int32) { m.locked(func() { delete(m.paused, partition) }) }

// Seek implements consumers.Member.
func (m *member) Seek(partition int32, to kgo.EpochOffset) {
	m.locked(func() {
		if c := m.owned[partition]; c != nil {
			m.discard(partition)
			c.seek(to)
		}
	})
}

// locked changes what the scheduler looks at, from another goroutine.
func (m *member) locked(change func()) {
	m.k.p.w.gate.mu.Lock()
	defer m.k.p.w.gate.mu.Unlock()
	change()
}

// discard throws away what was fetched of a partition; it is fetched again.
func (m *member) discard(partition int32) {
	for _, f := range slices.Backward(m.fetched) {
		if c := m.owned[partition]; f.partition == partition && c != nil {
			*c = f.before
		}
	}
	m.fetched = slices.DeleteFunc(m.fetched, func(f fetched) bool { return f.partition == partition })
}

// Joined implements consumers.Member.
func (m *member) Joined() bool { return m.generation >= 0 }

// Brokers implements consumers.Member.
func (m *member) Brokers() consumers.Brokers { return m.k }

// Commit implements consumers.Member.
func (m *member) Commit(ctx context.Context, offsets map[int32]kgo.EpochOffset) (refused map[int32]error, err error) {
	refused = map[int32]error{}
	sent := m.holds(offsets)
	name := fmt.Sprintf("commit %s %v", m.of.Group, sortedKeys(offsets))
	err = m.k.p.wait(ctx, &call{service: atKafka, name: name, changes: true, kind: "commit " + m.of.Group, effect: func() error {
		if m.k.c.off {
			return errNoAnswer
		}
		if _, err := m.k.c.find(m.of.Topic); err != nil {
			return err
		}
		if !m.joined || m.expelled {
			for p := range offsets {
				refused[p] = kerr.UnknownMemberID
			}
			return nil
		}
		if !maps.Equal(sent, m.holds(offsets)) { // it has moved since the request was sent
			for p := range offsets {
				refused[p] = kerr.IllegalGeneration
			}
			return nil
		}
		m.g.commit(string(m.of.Topic), offsets)
		return nil
	}})
	return refused, err
}

// holds are the cursors of partitions that the member has now. Another time it has the same
// partition, the cursor is another: a cursor is a generation, as far as commits care.
func (m *member) holds(of map[int32]kgo.EpochOffset) map[int32]*cursor {
	all := map[int32]*cursor{}
	m.locked(func() {
		for p := range of {
			all[p] = m.owned[p]
		}
	})
	return all
}

// Leave implements consumers.Member.
func (m *member) Leave(ctx context.Context) error {
	err := m.k.p.wait(ctx, &call{service: atHome, name: "leave " + m.of.Group,
		ready: func() bool { return !m.busy && !m.holding }, effect: func() error { m.busy = true; return nil }})
	if err != nil {
		return err
	}
	ids := sortedKeys(m.owned)
	if m.expelled {
		m.of.Lost(ids)
	} else {
		m.of.Revoked(ctx, m, ids)
	}
	return m.k.p.change(ctx, atKafka, "left "+m.of.Group, func() error {
		m.quit()
		return nil
	})
}

// Close implements consumers.Member. The group learns of a process that died, and of one
// that could not say that it leaves, when the session times out.
func (m *member) Close() { m.locked(func() { m.left = true }) }

// quit takes the member out of its group.
func (m *member) quit() {
	m.left, m.joined = true, false
	if m.g != nil {
		m.g.members = slices.DeleteFunc(m.g.members, func(o *member) bool { return o == m })
	}
	m.k.p.members = slices.DeleteFunc(m.k.p.members, func(o *member) bool { return o == m })
	clear(m.owned)
	m.fetched = nil
}

// sessionTimeout is when a group gives up a member it has not heard of.
const sessionTimeout = 10 * time.Second

// events are what the cluster and its clients can do by themselves now.
func (c *cluster) events() (all []func()) {
	if c.off {
		return nil
	}
	for _, p := range c.w.processes {
		for _, m := range p.members {
			silent := p.dead || p.paused || m.left
			switch {
			case m.k.c != c:
			case !silent:
				all = append(all, m.events()...)
			case m.joined && c.w.now().Sub(m.heard) >= sessionTimeout:
				all = append(all, m.expel)
			}
			if !silent {
				m.heard = c.w.now()
			}
		}
	}
	return all
}

func (m *member) events() (all []func()) {
	switch {
	case m.busy:
		return nil
	case !m.joined && !m.expelled:
		return []func(){m.join}
	case m.expelled && !m.holding:
		all = append(all, m.learn)
	}
	for id := range int32(mostPartitions) {
		c := m.owned[id]
		if c != nil && !m.paused[id] && len(m.fetched) < 4 && c.hasNews(m.k.c, m.of.Topic, true) {
			all = append(all, func() { m.fetch(c) })
		}
	}
	if m.holding || m.expelled {
		return all
	}
	target := m.g.target()
	var extra, free []int32
	for id := range int32(mostPartitions) {
		if at := int(id); m.owned[id] != nil && (at >= len(target) || target[at] != m) {
			extra = append(extra, id)
		}
	}
	for id, of := range target {
		if of == m && m.g.owner(int32(id)) == nil {
			free = append(free, int32(id))
		}
	}
	if len(extra) > 0 {
		all = append(all, func() { m.revoke(extra) })
	}
	if len(free) > 0 {
		all = append(all, func() { m.assign(free) })
	}
	return all
}

func (m *member) join() {
	m.g = m.k.c.group(m.of.Group)
	m.g.members = append(m.g.members, m)
	m.g.generation++
	m.joined, m.generation = true, m.g.generation
	if t := m.k.c.topics[string(m.of.Topic)]; t != nil && m.life == 0 {
		m.life = t.life + 1
	}
}

// learn is a heartbeat that says that the member is not one any more. It joins anew.
func (m *member) learn() {
	ids := sortedKeys(m.owned)
	m.callback(func() { m.of.Lost(ids) }, func() {
		clear(m.owned)
		m.fetched, m.expelled = nil, false
	})
}

func (m *member) fetch(c *cursor) {
	before := *c
	f := c.fetch(m.k.c, m.of.Topic, maxFetch, true)
	if len(f.Records) > 0 || f.Err != nil {
		m.fetched = append(m.fetched, fetched{c.partition, before, f})
	}
}

func (m *member) revoke(ids []int32) {
	ctx := context.Background()
	m.callback(func() { m.of.Revoked(ctx, m, ids) }, func() {
		for _, id := range ids {
			m.fetched = slices.DeleteFunc(m.fetched, func(f fetched) bool { return f.partition == id })
			delete(m.owned, id)
		}
	})
}

// assign gives partitions to the member, which reads them from where it says.
func (m *member) assign(ids []int32) {
	for _, id := range ids {
		m.owned[id] = &cursor{partition: id, life: m.life, offset: -1, epoch: -1, leader: -1, stuck: true}
	}
	var from map[int32]kgo.EpochOffset
	committed := map[int32]kgo.EpochOffset{}
	at := m.g.committed(string(m.of.Topic))
	for _, id := range ids {
		committed[id] = kgo.EpochOffset{Epoch: -1, Offset: -1}
		if c, ok := at[id]; ok {
			committed[id] = kgo.EpochOffset{Epoch: c.Epoch, Offset: c.Offset}
		}
	}
	m.callback(func() {
		m.of.Assigned(m, ids)
		var err error
		for from == nil || err != nil { // the client retries
			if from, err = m.of.Begin(context.Background(), m, committed); err != nil {
				if m.k.p.dead {
					return
				}
				time.Sleep(time.Second)
			}
		}
	}, func() {
		for _, id := range ids {
			c := m.owned[id]
			if c == nil {
				continue
			}
			c.stuck, c.offset, c.epoch = false, committed[id].Offset, committed[id].Epoch
			if at, ok := from[id]; ok {
				c.offset, c.epoch = at.Offset, at.Epoch
			}
		}
	})
}

// callback runs a notice to the member on a goroutine of its own, and then the rest on the
// scheduler's.
func (m *member) callback(tell, then func()) {
	m.busy = true
	p := m.k.p
	p.running.Go(func() {
		tell()
		_ = p.ask(context.Background(), atHome, "told "+m.of.Group, func() error {
			m.busy = false
			then()
			return nil
		})
	})
}

// owner is the member that has a partition; nil if none does.
func (g *group) owner(partition int32) *member {
	for _, m := range g.members {
		if m.owned[partition] != nil && !m.expelled {
			return m
		}
	}
	return nil
}

// target is who is to have which partition: as even as can be, and as it is where it can be.
func (g *group) target() []*member {
	live := slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return m.expelled })
	if len(live) == 0 {
		return nil
	}
	t := live[0].k.c.topics[string(live[0].of.Topic)]
	if t == nil {
		return nil
	}
	all := make([]*member, len(t.partitions))
	load := map[*member]int{}
	most := (len(t.partitions) + len(live) - 1) / len(live)
	for id := range int32(len(t.partitions)) {
		if m := g.owner(id); m != nil && load[m] < most {
			all[id] = m
			load[m]++
		}
	}
	for id := range int32(len(t.partitions)) {
		if all[id] == nil {
			all[id] = slices.MinFunc(live, func(a, b *member) int {
				return cmp.Or(cmp.Compare(load[a], load[b]), cmp.Compare(a.k.p.number, b.k.p.number))
			})
			load[all[id]]++
		}
	}
	return all
}

// expel takes a member that was not heard of out of its group.
func (m *member) expel() {
	m.joined, m.expelled = false, true
	m.g.members = slices.DeleteFunc(m.g.members, func(o *member) bool { return o == m })
}
