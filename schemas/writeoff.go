package schemas

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// WriteOff is an operator's word that records are lost for good and are not to be waited
// for: neither ClickHouse nor Kafka has them. It is decided once, and every manifest whose
// snapshot lies past them lists it.
type WriteOff struct {
	Topic Topic `json:"topic"`
	// Number counts the write-offs of a topic from 1.
	Number int `json:"number"`
	// Runs are the positions, by partition.
	Runs   []Run  `json:"runs"`
	Reason string `json:"reason"`
	// By is who wrote them off.
	By string `json:"by"`
	At Time   `json:"at"`
}

// Records is how many positions are written off.
func (w WriteOff) Records() (n int64) {
	for _, r := range w.Runs {
		n += r.Next - r.First
	}
	return n
}

// Validate reports every broken rule as one *InvalidError.
func (w WriteOff) Validate() error {
	var p problems
	if !slices.Contains(SourceTopics(), w.Topic) {
		p.add("topic", "%q is not a source topic", shorten(string(w.Topic)))
	}
	if len(w.Runs) == 0 || len(w.Runs) > MaxWriteOffRuns {
		p.add("runs", "are %d; there must be 1 to %d", len(w.Runs), MaxWriteOffRuns)
	}
	for _, r := range w.Runs {
		if r.Partition < 0 || r.First < 0 || r.Next <= r.First {
			p.add("runs", "positions %d to %d of partition %d are not a run", r.First, r.Next-1, r.Partition)
		}
	}
	if w.Reason == "" || len(w.Reason) > maxShortTextBytes {
		p.add("reason", "must have 1 to %d bytes", maxShortTextBytes)
	}
	return p.err()
}

// MaxWriteOffRuns bounds the runs of one write-off.
const MaxWriteOffRuns = 1000

// WrittenOff is what a manifest says of a write-off.
type WrittenOff struct {
	Number int `json:"number"`
	// Records is how many of its positions lie below the export's snapshot.
	Records int64  `json:"records"`
	Reason  string `json:"reason"`
	At      Time   `json:"at"`
}

// Touching returns what a manifest says of the write-offs that have positions at or past
// since and below the snapshot.
func Touching(all []WriteOff, since, snapshot Snapshot) []WrittenOff {
	var within []Run
	for p, next := range snapshot {
		first := int64(0)
		if p < len(since) {
			first = since[p]
		}
		within = append(within, Run{int32(p), first, next})
	}
	var touching []WrittenOff
	for _, w := range all {
		var n int64
		for _, r := range Overlap(w.Runs, within) {
			n += r.Next - r.First
		}
		if n > 0 {
			touching = append(touching, WrittenOff{w.Number, n, w.Reason, w.At})
		}
	}
	return touching
}

// Union returns what runs hold, in order and without repetition.
func Union(runs []Run) (all []Run) {
	order := slices.SortedFunc(slices.Values(runs), func(a, b Run) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First))
	})
	for _, r := range order {
		if last := len(all) - 1; last >= 0 && all[last].Partition == r.Partition && r.First <= all[last].Next {
			all[last].Next = max(all[last].Next, r.Next)
			continue
		}
		all = append(all, r)
	}
	return all
}

var (
	// ErrNothingGone says that there is nothing to write off.
	ErrNothingGone = errors.New("no record is missing that Kafka does not have any more; there is nothing to write off")
	// ErrNoReason says that a write-off needs a reason.
	ErrNoReason = errors.New("a write-off needs a reason: every manifest that it touches states it")
)

// ActionWriteOff is what a write-off is called in the audit trail.
const ActionWriteOff = "records.write_off"

// Positions is how many positions runs hold.
func Positions(runs []Run) (n int64) {
	for _, r := range runs {
		n += r.Next - r.First
	}
	return n
}

// Overlap returns what two lists of runs have in common, by partition and position. The
// runs of each list must not overlap.
func Overlap(a, b []Run) []Run {
	order := func(x, y Run) int {
		return cmp.Or(cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.First, y.First))
	}
	a, b = slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order)
	var both []Run
	for len(a) > 0 && len(b) > 0 {
		if a[0].Partition == b[0].Partition {
			if r := (Run{a[0].Partition, max(a[0].First, b[0].First), min(a[0].Next, b[0].Next)}); r.First < r.Next {
				both = append(both, r)
			}
		}
		if cmp.Or(cmp.Compare(a[0].Partition, b[0].Partition), cmp.Compare(a[0].Next, b[0].Next)) <= 0 {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}

// Places names runs of positions, the first few of them.
func Places(runs []Run) string {
	const shown = 4
	var all []string
	for i, r := range runs {
		if i == shown {
			all = append(all, "and "+Counted(len(runs)-i, "more run"))
			break
		}
		all = append(all, fmt.Sprintf("%s at positions %d to %d of partition %d", Grouped(r.Next-r.First), r.First, r.Next-1, r.Partition))
	}
	return strings.Join(all, ", ")
}
