package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"sync"

	"cdds/schemas"
)

// Receipts are those of the parts of an export. Of each they keep what the plan does not say
// and what no name can be made from: some 130 bytes, where a receipt has five times that. They
// are safe for concurrent use.
type Receipts struct {
	export Export
	parts  []schemas.PlannedPart

	mu       sync.Mutex
	stored   []stored
	segments map[int][]schemas.Segment
}

// stored is what a receipt says beside its part.
type stored struct {
	lines, zip, sealed                          [sha256.Size]byte
	indexBytes, problems, zipBytes, sealedBytes int64
	// bytes is the size of the JSON Lines where a field policy gave them another one than planned.
	bytes int64
}

// NewReceipts are those of a plan, none of whose parts are stored yet.
func NewReceipts(x Export, plan schemas.Plan) *Receipts {
	return &Receipts{export: x, parts: plan.Parts, stored: make([]stored, len(plan.Parts)), segments: map[int][]schemas.Segment{}}
}

// Add keeps the receipt of a part. It is a permanent error if the plan has no such part, or if
// the receipt lacks a digest: no manifest could list it.
func (r *Receipts) Add(of schemas.Receipt) error {
	if of.Number < 1 || of.Number > len(r.parts) {
		return Permanent(fmt.Errorf("the plan has %s and no part %d", schemas.Counted(len(r.parts), "part"), of.Number))
	}
	s := stored{indexBytes: of.IndexBytes, problems: of.Problems, zipBytes: of.ZipBytes, sealedBytes: of.SealedBytes}
	if of.Bytes != r.parts[of.Number-1].Bytes { // the manifest does not say how many were stored
		s.bytes = of.Bytes
	}
	for _, d := range []struct {
		text string
		sum  *[sha256.Size]byte
	}{{of.JSONLSHA256, &s.lines}, {of.ZipSHA256, &s.zip}, {of.SealedSHA256, &s.sealed}} {
		if b, err := hex.DecodeString(d.text); err != nil || copy(d.sum[:], b) != sha256.Size || len(b) != sha256.Size {
			return Permanent(fmt.Errorf("the stored part %s says %q where a SHA-256 must be", of.Key, d.text))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored[of.Number-1] = s
	if of.Segments != nil {
		r.segments[of.Number] = of.Segments
	}
	return nil
}

// All yields the receipts in the order of their parts.
func (r *Receipts) All() iter.Seq[schemas.Receipt] {
	return func(yield func(schemas.Receipt) bool) {
		prefix := schemas.ExportPrefix(r.export.Filter.TenantID, r.export.ID)
		for i, planned := range r.parts {
			part, s := planned.Part, &r.stored[i]
			name := schemas.PartName(r.export.Filter.Entity, r.export.ID, part)
			receipt := schemas.Receipt{
				Part: part, Name: name, Key: prefix + name,
				JSONLSHA256: hex.EncodeToString(s.lines[:]), IndexBytes: s.indexBytes, Problems: s.problems,
				ZipBytes: s.zipBytes, ZipSHA256: hex.EncodeToString(s.zip[:]),
				SealedBytes: s.sealedBytes, SealedSHA256: hex.EncodeToString(s.sealed[:]),
				Segments: r.segments[part.Number],
			}
			if s.bytes > 0 {
				receipt.Bytes, receipt.StoredBytes = s.bytes, part.Bytes
			}
			if !yield(receipt) {
				return
			}
		}
	}
}
