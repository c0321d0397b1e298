package schemas

// Snapshot is a point in the history of a source topic: for each partition, by
// its number, the first offset that is not part of it. Partitions past its length
// had no records.
type Snapshot []int64

// Records is the sum of the offsets: how many positions lie before the snapshot.
func (s Snapshot) Records() int64 {
	var n int64
	for _, offset := range s {
		n += offset
	}
	return n
}

// Past names the first partition of which s holds less than earlier does, or is
// false: then earlier lies within s. A partition that s has not was never used: there, where an
// incarnation begins, nothing lies below.
func (s Snapshot) Past(earlier Snapshot) (partition int, found bool) {
	for p, offset := range earlier {
		if p < len(s) && offset > s[p] || p >= len(s) && offset&MaxOffset > 0 {
			return p, true
		}
	}
	return 0, false
}

// SameIncarnations reports whether two snapshots end in the same incarnation of every partition.
// What is beyond the end of one is at 0.
func (s Snapshot) SameIncarnations(other Snapshot) bool {
	at := func(s Snapshot, p int) int64 {
		if p < len(s) {
			return s[p] >> positionBits
		}
		return 0
	}
	for p := range max(len(s), len(other)) {
		if at(s, p) != at(other, p) {
			return false
		}
	}
	return true
}

// Joined is the first snapshot that holds both.
func (s Snapshot) Joined(other Snapshot) Snapshot {
	all := make(Snapshot, max(len(s), len(other)))
	copy(all, s)
	for p, next := range other {
		all[p] = max(all[p], next)
	}
	return all
}

// Behind is how many positions of the snapshot are yet to come, as far as done is reached:
// 0 if it covers all of them. Of a partition that done lacks nothing comes any more: the
// topic was made again without it. What it had is missing or is not.
func (s Snapshot) Behind(done Snapshot) int64 {
	var n int64
	for p, offset := range s[:min(len(s), len(done))] {
		n += max(offset-done[p], 0)
	}
	return n
}
