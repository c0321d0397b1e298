package consumers

import "github.com/twmb/franz-go/pkg/kgo"

// order tracks batches of one partition that may finish in any order, and says how
// far everything is finished.
type order struct {
	open []*span
}

// span is the offsets of one batch: at is where the next batch begins.
type span struct {
	at   kgo.EpochOffset
	done bool
}

// begin appends a batch that ends before at.
func (o *order) begin(at kgo.EpochOffset) *span {
	s := &span{at: at}
	o.open = append(o.open, s)
	return s
}

// finish marks a batch as done. If that completes all batches up to some point, it
// returns the point and true.
func (o *order) finish(s *span) (kgo.EpochOffset, bool) {
	s.done = true
	var at kgo.EpochOffset
	moved := false
	for len(o.open) > 0 && o.open[0].done {
		at, moved = o.open[0].at, true
		o.open[0] = nil
		o.open = o.open[1:]
	}
	return at, moved
}
