package schemas

import (
	"crypto/sha256"
	"encoding/hex"
)

// Chain is a run's place in the chain of its job. Run n carries the difference between what
// the job selected at run n-1 and what it selects now, so a receiver that applies all runs
// in order has what one whole export would have. Every link names the one before it by the
// digest of its manifest: a receiver can prove by itself that no run is missing, foreign,
// repeated or out of order.
type Chain struct {
	JobID string `json:"job_id"`
	// Number counts the runs of the chain from 1. It is taken when a run completes.
	Number int `json:"number"`
	// PreviousExportID and PreviousManifestSHA256 name run Number-1. A run without them holds
	// all that is selected: a receiver starts over with it.
	PreviousExportID       string `json:"previous_export_id,omitempty"`
	PreviousManifestSHA256 string `json:"previous_manifest_sha256,omitempty"`
	// FilterDigest identifies what the run selects and shows, see SelectionDigest.
	FilterDigest string `json:"filter_digest"`
}

// Whole reports whether a receiver starts over with the run.
func (c Chain) Whole() bool { return c.PreviousExportID == "" }

// check adds every broken rule.
func (c Chain) check(m *Manifest, p *problems) {
	if c.JobID == "" {
		p.add("chain", "names no job")
	}
	if c.Number < 1 {
		p.add("chain", "has the number %d; numbers begin at 1", c.Number)
	}
	if (c.PreviousExportID == "") != (c.PreviousManifestSHA256 == "") {
		p.add("chain", "must have both the previous export and the digest of its manifest, or neither")
	}
	if c.PreviousManifestSHA256 != "" && !sha256Pattern.MatchString(c.PreviousManifestSHA256) {
		p.add("chain", "previous_manifest_sha256 is not a digest")
	}
	if c.PreviousExportID != m.SinceExport {
		p.add("chain", "continues %q, the export %q", shorten(c.PreviousExportID), shorten(m.SinceExport))
	}
	if c.FilterDigest != SelectionDigest(m.Filter, m.FieldPolicy, m.Names) {
		p.add("chain", "filter_digest does not match the filter, the field policy and the names")
	}
}

// FilterDigest identifies what a filter selects, whatever its range: two runs of one digest
// differ by what was published, their ranges aside.
func FilterDigest(f Filter) string {
	f.From, f.To = Time{}, Time{}
	b, err := Encode(f)
	if err != nil {
		panic("schemas: a filter cannot be encoded: " + err.Error()) // it has only texts
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// SelectionDigest identifies what a run selects, whatever its range, what of it is shown, and
// whose field names rows have next to ours: without a field policy and names it is FilterDigest.
func SelectionDigest(f Filter, policy *AppliedPolicy, names string) string {
	if policy == nil && names == "" {
		return FilterDigest(f)
	}
	of := FilterDigest(f) + "/" + policy.Identity()
	if names != "" {
		of += "/names=" + names
	}
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])
}

// Reasons of a removal.
const (
	// RemovedFilter: the row's newest version does not pass the filter any more. What lies
	// outside the manifest's range is not listed.
	RemovedFilter = "filter"
	// RemovedErased: what has the id was erased, whatever its time. The receiver may never
	// have had it. A row of the id that was published anew is in the same run.
	RemovedErased = "erased"
)

// Removal is a line of a part of kind KindRemoved: what a receiver must not have any more,
// but for the rows of the same run. What is kept no longer is not listed row by row: the
// manifest's HistoryFrom says from when on rows are kept, and a receiver removes what is
// older. Erased ids of the hour before the last run are listed once more: clocks differ.
type Removal struct {
	ID string `json:"id"`
	// Time is started_at of an interaction, created_at of a contact; absent for every row
	// of the id.
	Time   Time   `json:"time"`
	Reason string `json:"reason"`
}

// Key is the row's.
func (r Removal) Key() RowKey { return RowKey{r.Time, r.ID} }

// DecodeRemoval reads a line of a part of kind KindRemoved.
func DecodeRemoval(line []byte) (Removal, error) {
	var r Removal
	if err := Read(line, &r); err != nil {
		return r, err
	}
	var p problems
	if r.ID == "" {
		p.add("id", "is missing")
	}
	switch r.Reason {
	case RemovedFilter:
		p.instant("time", r.Time, true)
	case RemovedErased:
		if !r.Time.IsZero() {
			p.add("time", "is given; what was erased has none")
		}
	default:
		p.add("reason", "%q is unknown", shorten(r.Reason))
	}
	return r, p.err()
}
