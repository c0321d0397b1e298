package consumers

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// push queues what a fetch brought. It never blocks. It is false, and queues nothing, if
// the log no longer reaches what was read of it.
func (p *partition[E]) push(f kgo.FetchPartition) bool {
	if len(f.Records) == 0 {
		return true
	}
	all := make([]fetched, len(f.Records))
	for i, r := range f.Records {
		all[i] = fetched{Record: r, next: r.Offset + 1}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queueUp(all, f.LogStartOffset, f.HighWatermark)
}

// skip queues a dead letter in place of a batch that was not unpacked.
func (p *partition[E]) skip(f kgo.FetchPartition, e *kgo.ErrDecompressTooLarge) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := notUnpacked(e)
	r.Timestamp = time.Now()
	r.Offset = max(r.Offset, p.polled) // the log may begin in the middle of a batch
	return p.queueUp([]fetched{r}, f.LogStartOffset, f.HighWatermark)
}

// queueUp queues records; p.mu is held.
func (p *partition[E]) queueUp(records []fetched, logStart, highWater int64) bool {
	p.logStart = max(p.logStart, logStart)
	first, last := records[0], records[len(records)-1]
	switch {
	case p.polled < 0: // nothing was committed: reading begins where the log does
		p.begin = logStart
	case logStart > p.polled && first.Offset > p.polled:
		p.g.metrics.trimmed.Add(float64(logStart - p.polled))
		p.log.Error("the broker deleted records before they were read; raise the topic's retention or find out why this group was behind",
			"from_offset", p.polled, "to_offset", logStart)
	case first.Offset < p.polled:
		p.g.metrics.resets.Inc()
		p.log.Error("the log no longer reaches the offset this group had read",
			"expected_offset", p.polled, "offset", first.Offset)
		if p.g.opts.Positions != nil {
			return false
		}
	}
	if p.handled.Offset < 0 || p.handled.Offset > last.Offset {
		p.handled = kgo.EpochOffset{Epoch: -1, Offset: first.Offset}
	}
	p.polled, p.epoch, p.fetchErr = last.next, last.LeaderEpoch, nil
	if len(p.queue) == 0 {
		p.since = time.Now()
	}
	p.queue = append(p.queue, records...)
	added := sizeOf(records)
	p.queued += added
	p.held += added
	if p.behind.IsZero() {
		p.behind = first.Timestamp
	}
	if highWater < 0 {
		highWater = p.highWater
	}
	p.setLag(highWater)
	signal(p.arrived)
	return true
}

// epochOf is the leader epoch of the last of what a fetch brought.
func epochOf(f kgo.FetchPartition) (epoch int32, any bool) {
	var tooLarge *kgo.ErrDecompressTooLarge
	if errors.As(f.Err, &tooLarge) {
		return tooLarge.Epoch, true
	}
	if n := len(f.Records); n > 0 {
		return f.Records[n-1].LeaderEpoch, true
	}
	return 0, false
}

// anotherEpoch reports whether records of an epoch come from another leader's time than
// those before, if there were any.
func (p *partition[E]) anotherEpoch(epoch int32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch < 0 || epoch > p.epoch
}

func (p *partition[E]) fetchFailed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetchErr = err
}

// setLag updates the group's lag by what this partition's changed; p.mu is held.
func (p *partition[E]) setLag(highWater int64) {
	p.highWater = highWater
	lag := max(0, highWater-p.handled.Offset)
	if lag == 0 {
		p.behind = time.Time{}
	}
	p.g.metrics.lag.Add(float64(lag - p.lag))
	p.lag = lag
}
