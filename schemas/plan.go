package schemas

import "strings"

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
// false: then earlier lies within s.
func (s Snapshot) Past(earlier Snapshot) (partition int, found bool) {
	for p, offset := range earlier {
		if offset > 0 && (p >= len(s) || offset > s[p]) {
			return p, true
		}
	}
	return 0, false
}

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

// Part is one file of an export: the rows from First to Last, both inclusive.
// Between one part's Last and the next one's First there is no row.
type Part struct {
	// Number counts from 1.
	Number int    `json:"number"`
	First  RowKey `json:"first"`
	Last   RowKey `json:"last"`
	// Rows is exact: a part that yields another number is an error.
	Rows int64 `json:"rows"`
	// Bytes is the exact size of its JSON Lines.
	Bytes int64 `json:"bytes"`
}

// Plan is the exact division of an export into parts. The same filter over the
// same snapshot with the same split size has the same plan.
type Plan struct {
	Parts []Part `json:"parts"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// Receipt says what was stored for a part.
type Receipt struct {
	Part
	// Name is the file's name within the export; Key that of the object.
	Name         string `json:"name"`
	Key          string `json:"key"`
	JSONLSHA256  string `json:"jsonl_sha256"`
	ZipBytes     int64  `json:"zip_bytes"`
	ZipSHA256    string `json:"zip_sha256"`
	SealedBytes  int64  `json:"sealed_bytes"`
	SealedSHA256 string `json:"sealed_sha256"`
}

// Behind is how many positions of the snapshot lie at or past done, partition by
// partition: 0 if done covers all of it.
func (s Snapshot) Behind(done Snapshot) int64 {
	var n int64
	for p, offset := range s {
		reached := int64(0)
		if p < len(done) {
			reached = done[p]
		}
		n += max(offset-reached, 0)
	}
	return n
}
