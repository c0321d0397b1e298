package schemas

import (
	"maps"
	"slices"
)

// Tally is what an export's fold needs of the events of stored parts: their sum. It stands for
// any number of events in the space of one.
type Tally struct {
	// Totals are those of the parts.
	Totals Totals
	// Last is when the last part of each attempt was stored.
	Last map[int]Time
}

// Add counts a part that was stored in an attempt.
func (t *Tally) Add(attempt int, at Time, part Totals) {
	t.Totals = t.Totals.Plus(part)
	if t.Last == nil {
		t.Last = make(map[int]Time)
	}
	if last, known := t.Last[attempt]; !known || at.After(last.Time) {
		t.Last[attempt] = at
	}
}

// statuses stands for the events that were counted: one for each attempt.
func (t Tally) statuses() (all []*ExportStatus) {
	for _, attempt := range slices.Sorted(maps.Keys(t.Last)) {
		all = append(all, &ExportStatus{EventID: partEvent, State: Running, Time: t.Last[attempt], Attempt: attempt})
	}
	return all
}

// StoresPart reports whether the event says that a part was stored, and nothing else. The fold
// counts no other events as parts.
func (s *ExportStatus) StoresPart() bool {
	return s.Part != nil && s.Part.Number >= 1 && s.Part.Number <= MaxParts && s.State == Running && s.EventID == PartEventID(s.Part.Number) &&
		s.Waiting == "" && s.RequestDigest == "" && s.Request == nil && len(s.Recipients) == 0 && len(s.Snapshot) == 0
}

// partly is 1 for events that a Tally counts, 0 for others.
func (s *ExportStatus) partly() int {
	if s.StoresPart() {
		return 1
	}
	return 0
}

// attempt is the attempt of the event, from 1.
func (s *ExportStatus) attempt() int { return max(s.Attempt, 1) }

// Distinct returns the events without repetitions, in the order in which Fold applies them. Of
// events with one id it has the one that Fold takes: the first.
func Distinct(events ...*ExportStatus) []*ExportStatus {
	order := slices.SortedFunc(slices.Values(events), compareStatus)
	return slices.CompactFunc(order, func(a, b *ExportStatus) bool {
		return a.State == b.State && a.EventID == b.EventID && a.partly() == b.partly()
	})
}

// Numbers returns the totals one after the other; TotalsFrom reads them. Stored totals depend on
// their order.
func (t Totals) Numbers() []int64 {
	return []int64{
		int64(t.Parts), t.Rows, t.JSONLBytes, t.ZipBytes, t.SealedBytes,
		t.Removed, t.Attachments, t.AttachmentBytes, t.AttachmentProblems,
	}
}

// TotalsFrom returns totals of their Numbers, none where there are not as many.
func TotalsFrom(n []int64) Totals {
	if len(n) != len(Totals{}.Numbers()) {
		return Totals{}
	}
	return Totals{
		Parts: int(n[0]), Rows: n[1], JSONLBytes: n[2], ZipBytes: n[3], SealedBytes: n[4],
		Removed: n[5], Attachments: n[6], AttachmentBytes: n[7], AttachmentProblems: n[8],
	}
}

// Plus is the sum of both.
func (t Totals) Plus(other Totals) Totals {
	sum := t.Numbers()
	for i, n := range other.Numbers() {
		sum[i] += n
	}
	return TotalsFrom(sum)
}
