package pipelinetest

import (
	"cmp"
	"slices"

	"cdds/schemas"
)

// runs are positions of a partition, as runs that neither overlap nor touch, in order.
type runs []schemas.Run

// with adds the positions from first to next, exclusive.
func (r runs) with(partition int32, first, next int64) runs {
	if first >= next {
		return r
	}
	all := slices.Clone(r)
	all = append(all, schemas.Run{Partition: partition, First: first, Next: next})
	slices.SortFunc(all, func(a, b schemas.Run) int { return cmp.Compare(a.First, b.First) })
	joined := all[:1]
	for _, run := range all[1:] {
		last := &joined[len(joined)-1]
		if run.First <= last.Next {
			last.Next = max(last.Next, run.Next)
			continue
		}
		joined = append(joined, run)
	}
	return joined
}

// without removes the positions of others.
func (r runs) without(others runs) runs {
	left := slices.Clone(r)
	for _, o := range others {
		var cut runs
		for _, run := range left {
			for _, piece := range []schemas.Run{
				{Partition: run.Partition, First: run.First, Next: min(run.Next, o.First)},
				{Partition: run.Partition, First: max(run.First, o.Next), Next: run.Next},
			} {
				if piece.First < piece.Next {
					cut = append(cut, piece)
				}
			}
		}
		left = cut
	}
	return left
}

// count is how many positions there are.
func (r runs) count() (n int64) {
	for _, run := range r {
		n += run.Next - run.First
	}
	return n
}
