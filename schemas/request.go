package schemas

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
)

// ExportRequest asks for an export, or controls one: both travel on the same
// topic with the same key, so controls are in order with their request.
type ExportRequest struct {
	// Action is create (also when empty), cancel, retry or delete; all but create
	// need only the ids.
	Action   string `json:"action,omitempty"`
	TenantID string `json:"tenant_id"`
	ExportID string `json:"export_id"`
	Entity   string `json:"entity,omitempty"`
	// From and To bound started_at (interaction) or created_at (contact): [From, To).
	From Time `json:"from,omitzero"`
	To   Time `json:"to,omitzero"`
	// MediaTypes limits interactions to these; empty means all.
	MediaTypes []string `json:"media_types,omitempty"`
	Match
	// Contacts limits rows to those of these contacts, by contact_id; empty means all.
	Contacts []string `json:"contacts,omitempty"`
	// Reason says why the data of Contacts is needed, for example a case number.
	Reason string `json:"reason,omitempty"`
	// SplitSize bounds the JSON Lines bytes of a part; 0 means DefaultSplitSize. A
	// part exceeds it only where a single interaction does.
	SplitSize int64 `json:"split_size,omitempty"`
	// Encoding is smime (also when empty) or der.
	Encoding string `json:"encoding,omitempty"`
	// Cipher is aes-256-cbc (also when empty) or aes-256-gcm; KeyTransport rsa-pkcs1v15
	// (also when empty) or rsa-oaep.
	Cipher       string `json:"cipher,omitempty"`
	KeyTransport string `json:"key_transport,omitempty"`
	// Compression is standard (also when empty) or fast.
	Compression string `json:"compression,omitempty"`
	// Attachments is included (also when empty), as parts of their own, or none.
	Attachments string `json:"attachments,omitempty"`
	// FieldPolicy says what of each row is hidden; nil shows all of it.
	FieldPolicy *FieldPolicy `json:"field_policy,omitempty"`
	// Names are another product's field names that each row has next to ours; empty: none.
	Names string `json:"names,omitempty"`
	// Recipients are those who can decrypt: at least one.
	Recipients []Recipient `json:"recipients,omitempty"`
	// Snapshot repeats an earlier export's point in time; empty means now.
	Snapshot Snapshot `json:"snapshot,omitempty"`
	// SinceExport is the id of a completed export of the tenant: only what differs from what
	// that selected is exported. Empty means everything that is selected.
	SinceExport string `json:"since_export,omitempty"`
	// Chained says that the export is the next run of the chain of JobID (see Chain): it
	// holds what differs from the run before, whichever that is when it begins.
	Chained bool `json:"chained,omitempty"`
	// ChainFrom is from when on runs are continued: what comes after an earlier one starts
	// over.
	ChainFrom Time `json:"chain_from,omitzero"`
	// Supersedes is the run whose place in the chain another one took, and in whose stead
	// this one was requested.
	Supersedes string `json:"supersedes,omitempty"`
	// Attempt is the attempt that a retry is of: of several retries of one attempt the first
	// begins another, and the others join it. With 0 each retries the last attempt.
	Attempt int `json:"attempt,omitempty"`
	// RetentionDays is how long the artifacts live, at most as long as the tenant's may;
	// 0 means as long as that.
	RetentionDays int `json:"retention_days,omitempty"`
	// JobID is the job this is a run of, and ScheduledAt the time the run was due.
	JobID       string `json:"job_id,omitempty"`
	ScheduledAt Time   `json:"scheduled_at,omitzero"`
	// Admins see RequestedAt and RequestedBy as they are.
	RequestedAt Time   `json:"requested_at,omitzero"`
	RequestedBy string `json:"requested_by,omitempty"`
	// RequestedFrom is the address or host it was requested from, for the audit trail.
	RequestedFrom string `json:"requested_from,omitempty"`

	// unreadable says why DecodeExportRequest read nothing but the ids.
	unreadable string
}

// Recipient names a certificate to encrypt to: by the SHA-256 fingerprint of one
// registered for the tenant, or the certificate itself where that is allowed.
type Recipient struct {
	Fingerprint string `json:"fingerprint,omitempty"`
	// Certificate is PEM. Never a private key.
	Certificate string `json:"certificate,omitempty"`
}

// Controls reports whether the message is about an export asked for before, rather
// than asking for one.
func (r *ExportRequest) Controls() bool {
	return r.Action == ActionCancel || r.Action == ActionRetry || r.Action == ActionDelete
}

// Filter says which rows an export holds.
type Filter struct {
	TenantID   string   `json:"tenant_id"`
	Entity     string   `json:"entity"`
	From       Time     `json:"from"`
	To         Time     `json:"to"`
	MediaTypes []string `json:"media_types,omitempty"`
	Match
	Contacts []string `json:"contacts,omitempty"`
}

// Filter returns the rows the request asks for, lists sorted.
func (r *ExportRequest) Filter() Filter {
	return Filter{
		TenantID: r.TenantID, Entity: r.Entity, From: r.From, To: r.To,
		MediaTypes: slices.Sorted(slices.Values(r.MediaTypes)), Match: r.Match.sorted(),
		Contacts: distinct(r.Contacts),
	}
}

// Strict reports whether the request has members that a release which does not know them must
// not ignore.
func (r *ExportRequest) Strict() bool {
	return len(r.Contacts) > 0 || r.FieldPolicy != nil || r.Names != ""
}

// WithoutAttachments reports whether there are no parts with attachments: they are left out, or
// the field policy hides them.
func (r *ExportRequest) WithoutAttachments() bool {
	return r.Attachments == AttachmentsNone || r.FieldPolicy.LeavesOutFiles(r.Entity)
}

// About describes the request for the audit trail: of how many contacts and why, but not of
// which.
func (r *ExportRequest) About() string {
	about := r.Entity + " from " + r.From.String() + " to " + r.To.String()
	if n := len(distinct(r.Contacts)); n > 0 {
		about += " of " + Counted(n, "contact") + ": " + r.Reason
	}
	if p := r.FieldPolicy.Applied(r.Entity, ""); p != nil {
		about += " under the field policy " + p.Digest[:12]
	}
	return bounded(about)
}

// Split returns the split size in bytes, defaulted.
func (r *ExportRequest) Split() int64 {
	if r.SplitSize == 0 {
		return DefaultSplitSize
	}
	return r.SplitSize
}

// Sealing returns the encoding, defaulted.
func (r *ExportRequest) Sealing() string {
	if r.Encoding == "" {
		return EncodingSMIME
	}
	return r.Encoding
}

// Enciphering returns the cipher and the key transport, defaulted.
func (r *ExportRequest) Enciphering() (cipher, keyTransport string) {
	return cmp.Or(r.Cipher, CipherCBC), cmp.Or(r.KeyTransport, KeyTransportPKCS1)
}

// Compressing returns the compression, defaulted.
func (r *ExportRequest) Compressing() string {
	if r.Compression == "" {
		return CompressionStandard
	}
	return r.Compression
}

// Digest identifies the content of a request: two requests with the same export
// id and different digests are different requests. When, by whom, from where and why it was asked,
// and after which attempt, does not count, nor whether a default is spelled out, so a producer may send it
// again.
func (r *ExportRequest) Digest() string {
	content := *r
	content.RequestedAt, content.RequestedBy, content.RequestedFrom = Time{}, "", ""
	content.Reason, content.Attempt = "", 0
	if content.Action == "" {
		content.Action = ActionCreate
	}
	content.MediaTypes, content.Match = slices.Sorted(slices.Values(r.MediaTypes)), r.Match.sorted()
	content.Contacts, content.FieldPolicy = distinct(r.Contacts), r.FieldPolicy.sorted()
	content.SplitSize, content.Encoding = r.Split(), r.Sealing()
	if r.Compression == CompressionStandard { // requests made before there was a choice keep their digest
		content.Compression = ""
	}
	if r.Cipher == CipherCBC {
		content.Cipher = ""
	}
	if r.KeyTransport == KeyTransportPKCS1 {
		content.KeyTransport = ""
	}
	if r.Attachments == AttachmentsIncluded { // requests of before they could be left out keep their digest
		content.Attachments = ""
	}
	b, err := Encode(&content)
	if err != nil {
		panic("schemas: an ExportRequest always encodes: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// CheckIDs reports what is wrong with the ids alone, as an *InvalidError. A request
// with others cannot be answered and is dead-lettered.
func (r *ExportRequest) CheckIDs() error {
	var p problems
	p.tenant(r.TenantID)
	p.exportID(r.ExportID)
	return p.err()
}

// Topic is cdds.export.requests.
func (r *ExportRequest) Topic() Topic { return TopicExportRequests }

// Key is the export id.
func (r *ExportRequest) Key() string { return r.ExportID }

// Type is the CloudEvents type.
func (r *ExportRequest) Type() string {
	if r.Controls() {
		return "cdds.export." + r.Action + ".v1"
	}
	return "cdds.export.request.v1"
}

// ID names the request.
func (r *ExportRequest) ID() string { return r.TenantID + "/" + r.ExportID + "/" + r.Digest()[:16] }

// At is when it was requested.
func (r *ExportRequest) At() Time { return r.RequestedAt }

var fingerprintPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Validate reports every rule the request breaks as one *InvalidError. It looks at
// certificates only as text: whether they may be used is the worker's to decide.
func (r *ExportRequest) Validate() error {
	var p problems
	p.tenant(r.TenantID)
	p.exportID(r.ExportID)
	if r.unreadable != "" {
		p.add("request", "%s", r.unreadable)
		return p.err()
	}
	p.oneOf("action", r.Action, Actions(), false)
	if r.Controls() {
		return p.err()
	}
	p.oneOf("entity", r.Entity, Entities(), true)
	p.rangeOf("from", r.From, "to", r.To)
	p.media(r.MediaTypes, r.Entity)
	p.match(r.Match, r.Entity)
	p.contacts(r.Contacts, r.Reason)
	p.fieldPolicy(r.FieldPolicy, r.Filter())
	p.names(r.Names, r.FieldPolicy, r.Entity)
	p.shape(r.SplitSize, r.Encoding, r.Compression, r.Attachments)
	p.seal(r.Cipher, r.KeyTransport)
	p.retention(r.RetentionDays)
	if r.JobID != "" {
		p.jobID(r.JobID)
	}
	p.instant("scheduled_at", r.ScheduledAt, false)
	p.recipients(r.Recipients)
	for n, offset := range r.Snapshot {
		if offset < 0 {
			p.add("snapshot", "partition %d has the negative offset %d", n, offset)
		}
	}
	if r.SinceExport != "" {
		if !exportPattern.MatchString(r.SinceExport) {
			p.add("since_export", "%q is no export id", shorten(r.SinceExport))
		}
	}
	if r.Chained && (r.JobID == "" || r.SinceExport != "" || r.Snapshot != nil) {
		p.add("chained", "a run of a chain names its job_id, and neither since_export nor snapshot")
	}
	p.instant("chain_from", r.ChainFrom, false)
	if r.Supersedes != "" && !exportPattern.MatchString(r.Supersedes) {
		p.add("supersedes", "%q is no export id", shorten(r.Supersedes))
	}
	p.short("requested_by", r.RequestedBy)
	p.short("requested_from", r.RequestedFrom)
	return p.err()
}

func (p *problems) rangeOf(fromField string, from Time, toField string, to Time) {
	p.instant(fromField, from, true)
	p.instant(toField, to, true)
	if !from.IsZero() && !to.IsZero() && !from.Before(to.Time) {
		p.add(fromField, "%s must be before to, %s (the range is [from, to))", from, to)
	}
}

func (p *problems) media(types []string, entity string) {
	for _, m := range types {
		p.oneOf("media_types", m, MediaTypes(), true)
	}
	if entity == EntityContact && len(types) > 0 {
		p.add("media_types", "contacts have none; leave it out")
	}
}

func (p *problems) shape(split int64, encoding, compression, attachments string) {
	if split != 0 && (split < minSplitSize || split > MaxSplitSize) {
		p.add("split_size", "%d is outside %d to %d bytes (64 KiB to 256 MiB)", split, minSplitSize, MaxSplitSize)
	}
	p.oneOf("encoding", encoding, Encodings(), false)
	p.oneOf("compression", compression, Compressions(), false)
	p.oneOf("attachments", attachments, AttachmentChoices(), false)
}

func (p *problems) seal(cipher, keyTransport string) {
	p.oneOf("cipher", cipher, Ciphers(), false)
	p.oneOf("key_transport", keyTransport, KeyTransports(), false)
}

func (p *problems) recipients(list []Recipient) {
	switch {
	case len(list) == 0:
		p.add("recipients", "give at least one certificate to encrypt to")
	case len(list) > maxRecipients:
		p.add("recipients", "there are %d; the limit is %d", len(list), maxRecipients)
	}
	for n, r := range list {
		field := fmt.Sprintf("recipients[%d]", n)
		switch {
		case r.Fingerprint == "" && r.Certificate == "":
			p.add(field, "give a fingerprint or a certificate")
		case r.Fingerprint != "" && r.Certificate != "":
			p.add(field, "give a fingerprint or a certificate, not both")
		case r.Fingerprint != "" && !fingerprintPattern.MatchString(r.Fingerprint):
			p.add(field, "fingerprint must be SHA-256 in 64 lower-case hex digits")
		case len(r.Certificate) > maxCertificateText:
			p.add(field, "certificate has %d bytes; the limit is %d", len(r.Certificate), maxCertificateText)
		}
	}
}
