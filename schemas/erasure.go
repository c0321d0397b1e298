package schemas

// ErasureRequest asks that everything about a contact, or one interaction, be
// forgotten: every version that was produced before the request is accepted. What is
// produced later is a new fact and stays.
type ErasureRequest struct {
	TenantID  string `json:"tenant_id"`
	ErasureID string `json:"erasure_id"`
	// ContactID or InteractionID says whom or what; exactly one is given. With a
	// contact go all interactions of which any version names it.
	ContactID     string `json:"contact_id,omitempty"`
	InteractionID string `json:"interaction_id,omitempty"`
	// DeleteArtifacts asks to delete the exports that still hold it, too.
	DeleteArtifacts bool   `json:"delete_artifacts,omitempty"`
	RequestedAt     Time   `json:"requested_at,omitzero"`
	RequestedBy     string `json:"requested_by,omitempty"`
}

// States of an erasure: requested, accepted, then one of the others.
const (
	// ErasureRequested is one that no worker has accepted yet.
	ErasureRequested = "requested"
	ErasureAccepted  = "accepted"
	ErasureDone      = "done"
	// ErasureNothingFound says that nothing was stored of what was to be forgotten: the id
	// may be misspelt, or it was forgotten before.
	ErasureNothingFound = "nothing_found"
	// ErasureRefused says that the tenant is unknown.
	ErasureRefused = "refused"
	// ErasureRepeated is one of audit records only: rows that came back were removed.
	ErasureRepeated = "repeated"
)

// Erasure is where an erasure stands, for admins.
type Erasure struct {
	Request ErasureRequest `json:"request"`
	// State is one of the constants above.
	State string `json:"state" enum:"requested,accepted,done,nothing_found,refused" doc:"nothing_found: nothing of it was stored, so nothing was removed. refused: see reason."`
	// Reason says why it was refused, or what was looked for and not found.
	Reason string `json:"reason,omitempty"`
	// Similar are ids of the same kind that differ from what was not found by letter case or
	// blanks only.
	Similar []string `json:"similar,omitempty"`
	// Interactions and Contacts are as of which point of their topics it forgets.
	Interactions Snapshot `json:"interactions_snapshot"`
	Contacts     Snapshot `json:"contacts_snapshot"`
	// Rows is how many versions were removed, by when it was done.
	Rows int64 `json:"rows"`
	// Objects is how many objects that attachments referred to were removed.
	Objects int64 `json:"objects,omitempty"`
	// Exports are those whose artifacts hold some of them, or, of those that have not
	// ended, are to hold some.
	Exports []AffectedExport `json:"exports"`
	// Waiting says what an accepted one waits for.
	Waiting    string `json:"waiting,omitempty"`
	AcceptedAt Time   `json:"accepted_at"`
	// FoundAt is when Exports were written down, before anything was removed: afterwards
	// nothing says any more what they hold.
	FoundAt Time `json:"found_at,omitzero"`
	// DoneAt is when it ended.
	DoneAt Time `json:"done_at,omitzero"`
}

// Ended reports whether the erasure will not change any more.
func (e Erasure) Ended() bool {
	return e.State == ErasureDone || e.State == ErasureNothingFound || e.State == ErasureRefused
}

// AffectedExport is an export whose artifacts hold what was erased.
type AffectedExport struct {
	ExportID string `json:"export_id"`
	State    State  `json:"state"`
	// Rows is how many rows of what was erased it holds.
	Rows      int64 `json:"rows"`
	ExpiresAt Time  `json:"expires_at,omitzero"`
	// Parts are the files stored by then that hold some of them, rows or attachments.
	Parts []string `json:"parts,omitempty"`
	// Recipients are the certificates that open the files.
	Recipients []CertificateRef `json:"recipients,omitempty"`
	// Downloads are the downloads of any of its files that the audit trail knew of by then.
	Downloads []Download `json:"downloads,omitempty"`
	// Deleted says that its deletion was asked for.
	Deleted bool `json:"deleted"`
}

// Download says who downloaded files of an export.
type Download struct {
	// By is whom the audit trail names.
	By string `json:"by"`
	// Times counts the records of the audit trail: one a file and minute.
	Times int64 `json:"times"`
	First Time  `json:"first"`
	Last  Time  `json:"last"`
}

// DecodeErasureRequest reads and validates the value of a cdds.erasure.requests
// message. An unknown member is refused: no data must be erased, or kept,
// by a spelling mistake. Every error is a *MalformedError.
func DecodeErasureRequest(b []byte) (*ErasureRequest, error) {
	r := new(ErasureRequest)
	if err := readDefinition(b, r); err != nil {
		return nil, err
	}
	return validated(r)
}

// Topic is cdds.erasure.requests.
func (r *ErasureRequest) Topic() Topic { return TopicErasureRequests }

// Key is the erasure id.
func (r *ErasureRequest) Key() string { return r.ErasureID }

// Type is the CloudEvents type.
func (r *ErasureRequest) Type() string { return "cdds.erasure.request.v1" }

// ID names the request.
func (r *ErasureRequest) ID() string { return r.TenantID + "/" + r.ErasureID }

// At is when it was requested.
func (r *ErasureRequest) At() Time { return r.RequestedAt }

// SameAs reports whether both ask for the same; when and by whom does not count.
func (r ErasureRequest) SameAs(s ErasureRequest) bool {
	r.RequestedAt, r.RequestedBy = s.RequestedAt, s.RequestedBy
	return r == s
}

// Validate reports every broken rule as one *InvalidError.
func (r *ErasureRequest) Validate() error {
	var p problems
	p.tenant(r.TenantID)
	switch {
	case r.ErasureID == "":
		p.add("erasure_id", "is missing")
	case !exportPattern.MatchString(r.ErasureID):
		p.add("erasure_id", "%q must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit", shorten(r.ErasureID))
	}
	if (r.ContactID == "") == (r.InteractionID == "") {
		p.add("contact_id", "give a contact_id or an interaction_id, and not both")
	}
	p.id("contact_id", r.ContactID, false)
	p.id("interaction_id", r.InteractionID, false)
	p.short("requested_by", r.RequestedBy)
	return p.err()
}

// AuditOfErasure is the audit record of an erasure's state, told by worker at now.
func AuditOfErasure(e Erasure, worker, outcome, detail string, now Time) *AuditRecord {
	actor := e.Request.RequestedBy
	if actor == "" {
		actor = worker
	}
	return &AuditRecord{
		AuditID: e.Request.ID() + "/erasure/" + e.State + "/" + outcome, Time: now, TenantID: e.Request.TenantID,
		Actor: actor, From: worker, Action: "erasure." + e.State, Subject: e.Request.ErasureID,
		Outcome: outcome, Detail: bounded(detail),
	}
}
