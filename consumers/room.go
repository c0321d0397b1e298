package consumers

import (
	"context"
	"time"
)

// patience is how long polling waits for a partition that holds its share, before
// it leaves that partition out.
//
// Why not leave it out at once: a pause throws away what the client has fetched for
// the partition, and after a resume the partition waits for the fetch under way
// without it. Not polling costs neither, and in a group that catches up some
// partition is full most of the time. Only one that stays full is worth a pause.
const patience = time.Second

// awaitRoom returns when no partition that is fetched holds its share. Those that
// keep it waiting too long are paused.
func (g *Group[E]) awaitRoom(ctx context.Context) {
	if !g.anyFull() {
		return
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for g.anyFull() {
		select {
		case <-g.freed:
		case <-ctx.Done():
			return
		case <-enough.C:
			for _, p := range g.partitions() {
				p.pauseIfFull()
			}
			return
		}
	}
}

func (g *Group[E]) anyFull() bool {
	for _, p := range g.partitions() {
		if p.fetchedAndFull() {
			return true
		}
	}
	return false
}

func (p *partition[E]) fetchedAndFull() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.closed && !p.paused && p.held >= p.g.share.Load()
}

// pauseIfFull stops fetching the partition until half of its share is handled.
func (p *partition[E]) pauseIfFull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && p.held >= p.g.share.Load() {
		p.paused = true
		p.member.Pause(p.id)
	}
}

// release gives back the memory of records that were handled; p.mu is held.
func (p *partition[E]) release(bytes int64) {
	p.held -= bytes
	if p.paused && p.held <= p.g.share.Load()/2 {
		p.paused = false
		p.member.Resume(p.id)
	}
	signal(p.g.freed)
}

// signal notes on a channel of capacity 1 that something happened.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
