package consumers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// Voider is a DeadLetters that also keeps account of positions without a record for
// readers: marks of transactions, records of aborted ones, what compaction removed. A
// store that must tell those from records it lost is one.
//
// Void has the contract of Put.
type Voider interface {
	Void(ctx context.Context, voids []schemas.Void) error
}

// reads notes where the log begins and where reading goes on; p.mu is held.
func (p *partition[E]) reads(f kgo.FetchPartition) {
	p.logStart = max(p.logStart, f.LogStartOffset)
	if p.expected < 0 { // nothing was committed: reading begins where the log does
		p.expected = f.LogStartOffset
	}
}

// voids are the positions without a record among records and before them. It is
// called with each batch, in order.
func (p *partition[E]) voids(records []*kgo.Record) []schemas.Void {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []schemas.Void
	void := func(first, next int64) {
		if n := len(all) - 1; n >= 0 && all[n].Next == first {
			all[n].Next = next
			return
		}
		all = append(all, schemas.Void{Topic: p.g.opts.Topic, Partition: p.id, First: first, Next: next})
	}
	for _, r := range records {
		// What retention removed unread is lost, not void.
		if begin := max(p.expected, p.logStart); p.expected >= 0 && begin < r.Offset {
			void(begin, r.Offset)
		}
		if r.Attrs.IsControl() {
			void(r.Offset, r.Offset+1)
		}
		p.expected = r.Offset + 1
	}
	return all
}
