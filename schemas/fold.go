package schemas

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"
)

// Export is what admins read about one run: the fold of its status events.
type Export struct {
	TenantID string `json:"tenant_id"`
	ExportID string `json:"export_id"`
	State    State  `json:"state"`
	// Waiting says what an export that has not ended waits for.
	Waiting       string           `json:"waiting,omitempty"`
	Request       *ExportRequest   `json:"request,omitempty"`
	RequestDigest string           `json:"request_digest,omitempty"`
	Recipients    []CertificateRef `json:"recipients,omitempty"`
	Snapshot      Snapshot         `json:"snapshot,omitempty"`
	// Continues is the export that this one continues; nil if it holds everything, or is not
	// planned yet. StartsOver says why a run of a chain holds everything.
	Continues  *Continued `json:"continues,omitempty"`
	StartsOver string     `json:"starts_over,omitempty"`
	// HistoryFrom, if there is one, says that rows from before it are left out: they are kept no
	// longer.
	HistoryFrom Time `json:"history_from,omitzero"`
	// Attempt is the latest that began, from 1.
	Attempt int `json:"attempt,omitempty"`
	// Planned is what is to be done; Done what was stored so far.
	Planned Totals `json:"planned"`
	Done    Totals `json:"done"`
	// Parts holds receipts of stored parts, by number: of all, or of those that were read. Done
	// counts all.
	Parts      []Receipt   `json:"parts,omitempty"`
	Failure    *Failure    `json:"failure,omitempty"`
	Completion *Completion `json:"completion,omitempty"`
	// Reason says why it was refused or cancelled, or why its artifacts are gone.
	Reason string `json:"reason,omitempty"`
	// Conflicts are refusals of other requests that used the same id.
	Conflicts   []Conflict `json:"conflicts,omitempty"`
	RequestedAt Time       `json:"requested_at,omitzero"`
	// BeganAt is when the last attempt began that was planned. The bytes of the export count for
	// that day, in UTC.
	BeganAt   Time `json:"began_at,omitzero"`
	PlannedAt Time `json:"planned_at,omitzero"`
	UpdatedAt Time `json:"updated_at"`
	EndedAt   Time `json:"ended_at,omitzero"`
	// RemovedAt is when the artifacts of an ended export were removed.
	RemovedAt Time `json:"removed_at,omitzero"`
	// Events counts the distinct events folded; it only grows.
	Events int `json:"events"`
}

// Conflict is the refusal of a different request under an id already in use.
type Conflict struct {
	RequestDigest string `json:"request_digest"`
	Reason        string `json:"reason"`
	Time          Time   `json:"time"`
}

// Fold is the state of an export after a set of its status events. It is pure and
// total: any order and any repetition of the same events gives the same result,
// and no set of events makes it fail. Events must be of one export; of none, it is
// the zero Export.
func Fold(events ...*ExportStatus) Export { return FoldOnto(Tally{}, events...) }

// FoldOnto is Fold of events and of others that each stored a part, of which only a tally is
// left. Both must not be about the same part. Parts holds those of the events alone.
func FoldOnto(others Tally, events ...*ExportStatus) Export {
	order := Distinct(events...)
	var e Export
	e.Events = len(order) + others.Totals.Parts
	tally := Tally{Totals: others.Totals, Last: maps.Clone(others.Last)}
	order = slices.DeleteFunc(order, func(s *ExportStatus) bool {
		if !s.StoresPart() {
			return false
		}
		e.TenantID, e.ExportID = s.TenantID, s.ExportID
		e.Parts = append(e.Parts, *s.Part)
		tally.Add(s.attempt(), s.Time, Total([]Receipt{*s.Part}))
		return true
	})
	order = append(order, tally.statuses()...)
	slices.SortStableFunc(order, compareStatus)

	e.RequestDigest = ownRequest(order)
	for _, s := range order {
		e.Attempt = max(e.Attempt, s.attempt())
	}
	var latest *ExportStatus // of the last attempt: it says whether the export waits
	for _, s := range order {
		if s.ExportID != "" {
			e.TenantID, e.ExportID = s.TenantID, s.ExportID
		}
		if s.Time.After(e.UpdatedAt.Time) {
			e.UpdatedAt = s.Time
		}
		if e.conflictsWith(s) {
			e.Conflicts = append(e.Conflicts, Conflict{s.RequestDigest, s.why(), s.Time})
			continue
		}
		if s.State == Failed && s.attempt() < e.Attempt {
			continue // it was tried again
		}
		e.apply(s)
		if s.attempt() == e.Attempt && (latest == nil || !s.Time.Before(latest.Time.Time)) {
			latest = s
		}
	}
	slices.SortFunc(e.Parts, func(a, b Receipt) int { return cmp.Compare(a.Number, b.Number) })
	e.Done = tally.Totals
	if latest != nil && !e.State.Ended() {
		e.Waiting = latest.Waiting
	}
	if !e.State.Ended() { // refused at first, granted when asked again
		e.EndedAt, e.Reason, e.Failure = Time{}, "", nil
	}
	return e
}

// ownRequest is the digest of the export's own request: the accepted one, or else the one that
// failed to be, or else the one that was refused last. To retry, cancel or delete an export is
// a request about it.
func ownRequest(order []*ExportStatus) string {
	for _, state := range []State{Requested, Failed} {
		for _, s := range order {
			if s.State == state && s.RequestDigest != "" {
				return s.RequestDigest
			}
		}
	}
	var last ExportStatus
	for _, s := range order {
		if s.State == Refused && s.Request != nil && !s.Request.Controls() && !s.Time.Before(last.Time.Time) {
			last = *s
		}
	}
	return last.RequestDigest
}

// why is the reason of a refusal, or of a failure.
func (s *ExportStatus) why() string {
	if s.Failure != nil {
		return s.Failure.Reason
	}
	return s.Reason
}

// conflictsWith reports whether s is about another request than the export's own.
func (e *Export) conflictsWith(s *ExportStatus) bool {
	if e.RequestDigest == "" || e.RequestDigest == s.RequestDigest {
		return false
	}
	return s.RequestDigest != "" || s.State == Refused
}

// compareStatus puts events in the order Fold applies them: by precedence of
// state, then by id, so that publications of one fact are neighbours, then by
// whatever tells two of them apart, so that the order of arrival never counts.
func compareStatus(a, b *ExportStatus) int {
	c := cmp.Or(
		cmp.Compare(rank(a.State), rank(b.State)),
		cmp.Compare(a.State, b.State), // unknown ones have the same rank
		cmp.Compare(a.EventID, b.EventID),
		cmp.Compare(a.partly(), b.partly()),
		a.Time.Compare(b.Time),
		a.comparePart(b),
		cmp.Compare(a.Worker, b.Worker),
	)
	if c != 0 || a == b {
		return c
	}
	return bytes.Compare(encoded(a), encoded(b))
}

// comparePart compares what a Tally takes of two events, so that history can choose between
// publications of one fact without reading them.
func (s *ExportStatus) comparePart(other *ExportStatus) int {
	if s.Part == nil || other.Part == nil {
		return 0
	}
	return cmp.Or(
		slices.Compare(Total([]Receipt{*s.Part}).Numbers(), Total([]Receipt{*other.Part}).Numbers()),
		cmp.Compare(s.attempt(), other.attempt()),
	)
}

func encoded(s *ExportStatus) []byte {
	b, err := Encode(s)
	if err != nil {
		panic("schemas: an ExportStatus always encodes: " + err.Error())
	}
	return b
}

func rank(s State) int { return slices.Index(States(), s) }

func (e *Export) apply(s *ExportStatus) {
	e.State = s.State
	if s.State.Ended() {
		removed := s.State == Expired || s.State == Deleted
		if removed {
			e.RemovedAt = s.Time
		}
		if !removed || e.EndedAt.IsZero() {
			e.EndedAt = s.Time
		}
		e.Reason, e.Failure = s.Reason, s.Failure
	}
	if s.Request != nil {
		e.Request = s.Request
	}
	if s.Recipients != nil {
		e.Recipients = s.Recipients
	}
	if s.Snapshot != nil {
		e.Snapshot = s.Snapshot
	}
	switch s.State {
	case Requested, Refused:
		if e.RequestedAt.IsZero() || s.Time.Before(e.RequestedAt.Time) {
			e.RequestedAt = s.Time
		}
		if s.RequestDigest != "" {
			e.RequestDigest = s.RequestDigest
		}
	case Planned:
		if s.Planned != nil {
			e.PlannedAt, e.Planned = s.Time, *s.Planned
		}
		e.Continues, e.StartsOver, e.HistoryFrom, e.BeganAt = s.Continues, s.StartsOver, s.HistoryFrom, s.BeganAt
	case Completed:
		if s.Completion != nil { // one without says nothing of what was stored
			e.Completion = s.Completion
		}
	}
}

// Remaining estimates how long a running export still takes at now, from the bytes
// done so far; false if there is nothing to go by, and for one that waits.
func (e *Export) Remaining(now time.Time) (time.Duration, bool) {
	done, planned := e.Done.JSONLBytes+e.Done.AttachmentBytes, e.Planned.JSONLBytes+e.Planned.AttachmentBytes
	if e.State != Running || e.Waiting != "" || done <= 0 || planned < done || e.PlannedAt.IsZero() {
		return 0, false
	}
	spent := now.Sub(e.PlannedAt.Time)
	left := float64(planned-done) / float64(done)
	return time.Duration(float64(spent) * left), true
}
