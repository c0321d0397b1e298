package schemas

import (
	"slices"
	"strings"
)

// RowKey is the identity of a row within a tenant, in the order rows are exported:
// by time, then by id bytes.
type RowKey struct {
	Time Time   `json:"time"`
	ID   string `json:"id"`
}

// Compare orders keys as exports do.
func (k RowKey) Compare(l RowKey) int {
	if c := k.Time.Compare(l.Time); c != 0 {
		return c
	}
	return strings.Compare(k.ID, l.ID)
}

// follows compares a key with one of a row before it. Of ids that are pseudonyms the order is
// not known: then rows of one time are equal.
func (k RowKey) follows(earlier RowKey, pseudonyms bool) int {
	if !pseudonyms {
		return k.Compare(earlier)
	}
	return k.Time.Compare(earlier.Time)
}

// Kinds of parts beside "", which holds rows.
const (
	// KindRemoved is that of a part whose lines are Removals.
	KindRemoved = "removed"
	// KindAttachments is that of a part that holds attachments.
	KindAttachments = "attachments"
)

// MaxParts bounds the parts of an export.
const MaxParts = 100_000

// kinds are in the order of parts.
var kinds = []string{"", KindRemoved, KindAttachments}

// Part is one file of an export: the rows from First to Last, both inclusive, or the
// attachments of such rows. Between one part's Last and the next one's First there is
// none of its kind; parts with removals come after those with rows, and those with
// attachments after both.
type Part struct {
	// Number counts from 1.
	Number int `json:"number"`
	// Kind is "" of rows, KindRemoved or KindAttachments.
	Kind  string `json:"kind,omitempty"`
	First RowKey `json:"first"`
	Last  RowKey `json:"last"`
	// FirstAttachment is the position from 1 of the first attachment within First, and
	// LastAttachment that of the last within Last; 0 in parts of other kinds.
	FirstAttachment int `json:"first_attachment,omitempty"`
	LastAttachment  int `json:"last_attachment,omitempty"`
	// Rows is exact: a part that yields another number is an error. Of attachments it
	// is how many there are, those whose content is not to be had included.
	Rows int64 `json:"rows"`
	// Bytes is the exact size of its JSON Lines, or that of the attachments' contents
	// as their events state them.
	Bytes int64 `json:"bytes"`
	// SegmentBytes is set where the part is one attachment that is too large for a zip: it is
	// cut into segments of so many bytes, the last of which may have fewer.
	SegmentBytes int64 `json:"segment_bytes,omitempty"`
}

// MaxSegments bounds the segments of one attachment.
const MaxSegments = 999

// Segments is how many segments the attachment of the part has; 0 if it is in the zip.
func (p Part) Segments() int {
	if p.SegmentBytes <= 0 {
		return 0
	}
	return int((p.Bytes + p.SegmentBytes - 1) / p.SegmentBytes)
}

// SegmentSize is how many bytes a segment has, counted from 1.
func (p Part) SegmentSize(n int) int64 {
	return min(p.SegmentBytes, p.Bytes-int64(n-1)*p.SegmentBytes)
}

// Segment says what was stored for a segment.
type Segment struct {
	// Name is the file's name within the export; Key that of the object.
	Name string `json:"name"`
	Key  string `json:"key"`
	// Bytes and SHA256 are those of the content.
	Bytes        int64  `json:"bytes"`
	SHA256       string `json:"sha256"`
	SealedBytes  int64  `json:"sealed_bytes"`
	SealedSHA256 string `json:"sealed_sha256"`
}

// follows reports whether a part holds what comes after an earlier one, as far as keys say so.
func (p Part) follows(earlier Part, pseudonyms bool) bool {
	if p.Kind != earlier.Kind {
		return slices.Index(kinds, p.Kind) > slices.Index(kinds, earlier.Kind)
	}
	c := p.First.follows(earlier.Last, pseudonyms)
	return c > 0 || c == 0 && pseudonyms || c == 0 && p.Kind == KindAttachments && p.FirstAttachment > earlier.LastAttachment
}

// PlannedPart is a part as plans have it.
type PlannedPart struct {
	Part
	// Versions tells which versions of rows the part is made of: a sum of hashes of their
	// positions, or of the lines of a part with removals. A part that has others, were they as
	// many and as long, is not the one that was planned.
	Versions uint64 `json:"versions,string"`
}

// Plan is the exact division of an export into parts. The same filter over the
// same snapshot with the same split size has the same plan.
type Plan struct {
	Parts []PlannedPart `json:"parts"`
	// Snapshot is the one it was planned as of. It is that of the acceptance, unless the log of
	// the topic had lost its tail before the export was accepted, and that was found later.
	Snapshot Snapshot `json:"snapshot"`
	// Rows and Bytes are those of the parts with rows.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	// Removed counts the lines of parts with removals.
	Removed int64 `json:"removed,omitempty"`
	// Attachments and AttachmentBytes are those of the others.
	Attachments     int64 `json:"attachments,omitempty"`
	AttachmentBytes int64 `json:"attachment_bytes,omitempty"`
	// Scattered says that versions of one row lie in several partitions of the topic, and
	// that the newest is chosen by when they were published.
	Scattered bool `json:"scattered,omitempty"`
	// HistoryFrom is before when rows of the tenant were kept no longer, if any.
	HistoryFrom Time `json:"history_from,omitzero"`
}

// Totals is what a plan says of an export; what is not known before, is 0.
func (p Plan) Totals() Totals {
	return Totals{Parts: len(p.Parts), Rows: p.Rows, JSONLBytes: p.Bytes, Removed: p.Removed, Attachments: p.Attachments, AttachmentBytes: p.AttachmentBytes}
}

// Receipt says what was stored for a part.
type Receipt struct {
	Part
	// Name is the file's name within the export; Key that of the object.
	Name string `json:"name"`
	Key  string `json:"key"`
	// StoredBytes is the planned size of the JSON Lines where a field policy or other names gave them another one,
	// Bytes. Manifests do not tell it: it says how much was hidden.
	StoredBytes int64 `json:"stored_bytes,omitempty"`
	// JSONLSHA256 is the digest of the JSON Lines: the rows, or the index of a part with
	// attachments, which has IndexBytes bytes.
	JSONLSHA256 string `json:"jsonl_sha256"`
	IndexBytes  int64  `json:"index_bytes,omitempty"`
	// Problems is how many attachments are listed without their content.
	Problems     int64  `json:"problems,omitempty"`
	ZipBytes     int64  `json:"zip_bytes"`
	ZipSHA256    string `json:"zip_sha256"`
	SealedBytes  int64  `json:"sealed_bytes"`
	SealedSHA256 string `json:"sealed_sha256"`
	// Segments are the files of an attachment that is too large for a zip; none if its content
	// could not be had.
	Segments []Segment `json:"segments,omitempty"`
}
