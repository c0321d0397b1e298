package schemas

import (
	"bytes"
	"iter"
	"slices"
)

// ManifestVersion is the version of the manifest's format.
const ManifestVersion = 1

// Names of the files that prove an export, beside its parts.
const (
	ManifestName  = "manifest.json"
	SignatureName = "manifest.json.p7s"
)

// Manifest is what a receiver checks an export against: it covers every part by
// size and digest, and is itself covered by a detached CMS signature
// (RFC 5652 section 5). What it does not list does not belong to the export.
type Manifest struct {
	Version  int    `json:"version"`
	TenantID string `json:"tenant_id"`
	ExportID string `json:"export_id"`
	Filter   Filter `json:"filter"`
	// Topic and Snapshot state as of which point the export is complete.
	Topic    Topic    `json:"topic"`
	Snapshot Snapshot `json:"snapshot"`
	// Since, if there is one, is the snapshot of SinceExport: the export holds what
	// came at or past it, so that both together are complete as of Snapshot.
	SinceExport string   `json:"since_export,omitempty"`
	Since       Snapshot `json:"since,omitempty"`
	// Chain is the place in the chain of its job, of a run of a job.
	Chain *Chain `json:"chain,omitempty"`
	// WrittenOff lists records below the snapshot that were lost for good, of whatever tenant
	// and time: nobody can tell whether the export would have had any of them.
	WrittenOff []WrittenOff `json:"written_off,omitempty"`
	// HistoryFrom, if there is one, says that rows from before it were left out: they are
	// kept no longer, and may be gone already.
	HistoryFrom *Time `json:"history_from,omitempty"`
	// CreatedAt is when the last part was stored; artifacts go at ExpiresAt.
	CreatedAt Time   `json:"created_at"`
	ExpiresAt Time   `json:"expires_at"`
	Encoding  string `json:"encoding"`
	// Compression is standard (also when empty) or fast: what equal zips need to be made again.
	Compression  string `json:"compression,omitempty"`
	Cipher       string `json:"cipher"`
	KeyTransport string `json:"key_transport"`
	// Attachments is AttachmentsNone if they were left out.
	Attachments string `json:"attachments,omitempty"`
	// FieldPolicy says what of each row is hidden. Where it replaces the ids of rows, it does so in
	// Filter and Parts, too, whose keys are in the order of their times then.
	FieldPolicy *AppliedPolicy `json:"field_policy,omitempty"`
	// Names are another product's field names that each row has next to ours, empty if none.
	Names      string           `json:"names,omitempty"`
	Recipients []CertificateRef `json:"recipients"`
	Parts      []Receipt        `json:"parts"`
	Totals     Totals           `json:"totals"`
}

// CertificateRef identifies a certificate without containing it.
type CertificateRef struct {
	// Fingerprint is the SHA-256 of the DER certificate in lower-case hex.
	Fingerprint string `json:"fingerprint"`
	Subject     string `json:"subject"`
	Issuer      string `json:"issuer"`
	// Serial is the serial number in lower-case hex.
	Serial   string `json:"serial"`
	NotAfter Time   `json:"not_after"`
}

// Totals sums up parts; all sizes in bytes.
type Totals struct {
	Parts int `json:"parts"`
	// Rows and JSONLBytes are those of the rows.
	Rows        int64 `json:"rows"`
	JSONLBytes  int64 `json:"jsonl_bytes"`
	ZipBytes    int64 `json:"zip_bytes"`
	SealedBytes int64 `json:"sealed_bytes"`
	// Removed counts the rows that a receiver must not have any more.
	Removed int64 `json:"removed,omitempty"`
	// Attachments, AttachmentBytes and AttachmentProblems are those of the attachments:
	// how many are listed, what they are to have together, and how many are listed
	// without their content.
	Attachments        int64 `json:"attachments,omitempty"`
	AttachmentBytes    int64 `json:"attachment_bytes,omitempty"`
	AttachmentProblems int64 `json:"attachment_problems,omitempty"`
}

// Total adds up receipts.
func Total(receipts []Receipt) Totals { return TotalOf(slices.Values(receipts)) }

// TotalOf adds up receipts that come one after the other.
func TotalOf(receipts iter.Seq[Receipt]) (t Totals) {
	for r := range receipts {
		t.add(r)
	}
	return t
}

func (t *Totals) add(r Receipt) {
	t.Parts++
	switch r.Kind {
	case KindAttachments:
		t.Attachments += r.Rows
		t.AttachmentBytes += r.Bytes
		t.AttachmentProblems += r.Problems
	case KindRemoved:
		t.Removed += r.Rows
	default:
		t.Rows += r.Rows
		t.JSONLBytes += r.Bytes
	}
	t.ZipBytes += r.ZipBytes
	t.SealedBytes += r.SealedBytes
	for _, s := range r.Segments {
		t.SealedBytes += s.SealedBytes
	}
}

// possible reports whether a part can have such sizes and such a range.
func (r Receipt) possible(pseudonyms bool) bool {
	if r.Rows <= 0 || r.ZipBytes <= 0 || r.SealedBytes <= 0 || r.Last.follows(r.First, pseudonyms) < 0 {
		return false
	}
	if r.Kind == KindAttachments {
		return r.Bytes >= 0 && r.IndexBytes > 0 && r.Problems >= 0 && r.Problems <= r.Rows && r.FirstAttachment > 0 && r.LastAttachment > 0
	}
	return r.Bytes > 0 && r.IndexBytes == 0 && r.Problems == 0 && r.FirstAttachment == 0 && r.LastAttachment == 0
}

// DecodeManifest reads a manifest and checks that it is consistent in itself:
// of a known entity, parts numbered from 1, in order of their keys without overlap, each
// with the name and key of its number, totals equal to the sums. It says nothing about
// who wrote it.
func DecodeManifest(b []byte) (*Manifest, error) {
	var parts []Receipt
	m, err := ReadManifest(bytes.NewReader(b), func(part Receipt) error { parts = append(parts, part); return nil })
	if err != nil {
		return nil, err
	}
	m.Parts = parts
	c := CheckManifest(m)
	for _, part := range parts {
		c.Part(part)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// ManifestCheck finds out whether a manifest is consistent in itself, whose parts come one after
// the other.
type ManifestCheck struct {
	of         *Manifest
	pseudonyms bool
	problems   problems
	totals     Totals
	last       Part
}

// CheckManifest begins the check of a manifest.
func CheckManifest(m *Manifest) *ManifestCheck {
	c := &ManifestCheck{of: m, pseudonyms: m.FieldPolicy.ReplacesIdentity(m.Filter.Entity)}
	p := &c.problems
	if m.Version != ManifestVersion {
		p.add("version", "%d is not %d, the one this program reads", m.Version, ManifestVersion)
	}
	p.tenant(m.TenantID)
	p.exportID(m.ExportID)
	p.oneOf("filter.entity", m.Filter.Entity, Entities(), true)
	if m.Chain != nil {
		m.Chain.check(m, p)
	}
	m.FieldPolicy.check(p)
	p.oneOf("names", m.Names, NamesChoices(), false)
	return c
}

// Part checks the next part.
func (c *ManifestCheck) Part(part Receipt) {
	m, p := c.of, &c.problems
	c.totals.add(part)
	n := c.totals.Parts
	if part.Number != n {
		p.add("parts", "number %d stands where %d is expected", part.Number, n)
	}
	name := PartName(m.Filter.Entity, m.ExportID, part.Part)
	if part.Name != name {
		p.add("parts", "part %d has the name %q, not %q", n, shorten(part.Name), name)
	}
	if key := ExportPrefix(m.TenantID, m.ExportID) + name; part.Key != "" && part.Key != key {
		p.add("parts", "part %d has the key %q, not %q", n, shorten(part.Key), key)
	}
	if !sha256Pattern.MatchString(part.SealedSHA256) || !sha256Pattern.MatchString(part.ZipSHA256) || !sha256Pattern.MatchString(part.JSONLSHA256) {
		p.add("parts", "part %d lacks a digest", n)
	}
	if !slices.Contains(kinds, part.Kind) {
		p.add("parts", "part %d is of the unknown kind %q", n, shorten(part.Kind))
	}
	if !part.possible(c.pseudonyms) {
		p.add("parts", "part %d has an impossible size or range", n)
	}
	if err := part.checkSegments(m.TenantID, m.ExportID); err != nil {
		p.add("parts", "part %d: %v", n, err)
	}
	if n > 1 && !part.follows(c.last, c.pseudonyms) {
		p.add("parts", "part %d overlaps the one before", n)
	}
	c.last = part.Part
}

// Err is a *MalformedError unless the manifest is consistent, and all its parts were those.
func (c *ManifestCheck) Err() error {
	if c.of.Totals != c.totals {
		c.problems.add("totals", "are not the sums of the parts")
	}
	if err := c.problems.err(); err != nil {
		return &MalformedError{CodeEvent, "the manifest is inconsistent: " + err.Error()}
	}
	return nil
}
