package schemas

import (
	"cmp"
	"slices"
	"strings"
)

// ErasureRequest asks that everything about some contacts and interactions be forgotten:
// every version that was produced before the request is accepted. What is produced later
// is a new fact and stays.
type ErasureRequest struct {
	TenantID  string `json:"tenant_id"`
	ErasureID string `json:"erasure_id"`
	// ContactID or InteractionID is the only subject, Contacts and Interactions are lists of
	// them: one of the three ways is used. With a contact go all interactions of which any
	// version names it.
	ContactID     string   `json:"contact_id,omitempty"`
	InteractionID string   `json:"interaction_id,omitempty"`
	Contacts      []string `json:"contacts,omitempty"`
	Interactions  []string `json:"interactions,omitempty"`
	// SkipUnknown erases the other subjects where nothing is stored of some. Without it
	// nothing is erased then.
	SkipUnknown bool `json:"skip_unknown,omitempty"`
	// DeleteArtifacts asks to delete the exports that still hold it, too.
	DeleteArtifacts bool   `json:"delete_artifacts,omitempty"`
	RequestedAt     Time   `json:"requested_at,omitzero"`
	RequestedBy     string `json:"requested_by,omitempty"`
	// RequestedFrom is the address or host it was requested from, for the audit trail.
	RequestedFrom string `json:"requested_from,omitempty"`
}

// MaxSubjects is how many contacts and interactions an erasure may name, as many as an
// export.
const MaxSubjects = MaxContacts

// Subject is a contact or an interaction.
type Subject struct {
	// Kind is contact or interaction.
	Kind string `json:"kind" enum:"contact,interaction"`
	ID   string `json:"id"`
}

// Subjects lists what an erasure is to forget, in the order of the request.
func (r ErasureRequest) Subjects() []Subject {
	var all []Subject
	add := func(kind string, ids ...string) {
		for _, id := range ids {
			if id != "" {
				all = append(all, Subject{kind, id})
			}
		}
	}
	add(ErasedContact, r.ContactID)
	add(ErasedInteraction, r.InteractionID)
	add(ErasedContact, r.Contacts...)
	add(ErasedInteraction, r.Interactions...)
	return all
}

// WithoutLists is the request without its lists, which may be long.
func (r ErasureRequest) WithoutLists() ErasureRequest {
	r.Contacts, r.Interactions = nil, nil
	return r
}

// About says in words what the erasure is to forget.
func (r ErasureRequest) About() string {
	all := r.Subjects()
	if len(all) == 1 {
		return all[0].Kind + " " + strings.ToValidUTF8(all[0].ID, "")
	}
	contacts := len(slices.DeleteFunc(all, func(s Subject) bool { return s.Kind != ErasedContact }))
	interactions := len(r.Interactions)
	switch {
	case contacts == 0:
		return Counted(interactions, "interaction")
	case interactions == 0:
		return Counted(contacts, "contact")
	}
	return Counted(contacts, "contact") + " and " + Counted(interactions, "interaction")
}

// States of an erasure: requested, accepted, then one of the others.
const (
	// ErasureRequested is one that no worker has accepted yet.
	ErasureRequested = "requested"
	ErasureAccepted  = "accepted"
	// ErasureHeld is one that waits for the release of a hold.
	ErasureHeld = "held"
	ErasureDone = "done"
	// ErasureNothingFound says that nothing was stored of a subject, and nothing was removed:
	// the id may be misspelt, or it was forgotten before.
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
	State string `json:"state" enum:"requested,accepted,held,done,nothing_found,refused" doc:"held: a hold keeps some of it; it is carried out when that is released. nothing_found: nothing of it was stored, so nothing was removed. refused: see reason."`
	// Reason says why it was refused, what was looked for and not found, or what could not be
	// removed.
	Reason string `json:"reason,omitempty"`
	// Subjects says what became of each subject, in the order of the request. Lists of
	// erasures leave it out, and the lists of the request.
	Subjects []SubjectOutcome `json:"subjects,omitempty"`
	// Requested is how many subjects there are, by when they were looked for, and NotFound
	// of how many of them nothing is stored.
	Requested int `json:"subjects_requested,omitempty"`
	NotFound  int `json:"subjects_not_found,omitempty"`
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
	// HoldID is the hold that it waits for.
	HoldID string `json:"hold_id,omitempty"`
	// Waiting says what an accepted or held one waits for.
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

// SubjectFound is the outcome of a subject that is stored and was not removed, so far or
// because of others. The other outcomes are ErasureDone and ErasureNothingFound.
const SubjectFound = "found"

// SubjectOutcome is what became of a subject of an erasure.
type SubjectOutcome struct {
	Subject
	Outcome string `json:"outcome" enum:"found,done,nothing_found" doc:"found: stored, and not removed, so far or because nothing is stored of others."`
	// Rows is how many of its versions are stored, or were removed. A version that two of the
	// subjects are named in counts for both.
	Rows int64 `json:"rows"`
	// Similar are ids of the same kind that differ from it by letter case or blanks only, if
	// nothing is stored of it.
	Similar []string `json:"similar,omitempty"`
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
	if err := readRequest(b, r); err != nil {
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

// SameAs reports whether both ask for the same; when, by whom and from where does not count.
func (r ErasureRequest) SameAs(s ErasureRequest) bool {
	return r.ID() == s.ID() && r.DeleteArtifacts == s.DeleteArtifacts && r.SkipUnknown == s.SkipUnknown && slices.Equal(r.Subjects(), s.Subjects())
}

// Restored reports whether the erasure is known from cdds.erased only, which does not say
// what a list had in it.
func (e Erasure) Restored() bool { return len(e.Request.Subjects()) == 0 }

// About says in words what the erasure is to forget.
func (e Erasure) About() string {
	switch {
	case !e.Restored():
		return e.Request.About()
	case e.Requested > 0:
		return Counted(e.Requested, "subject")
	}
	return "the subjects of a list"
}

// Erasable lists the subjects that it removes: those that were found, or all if they were
// not looked for yet.
func (e Erasure) Erasable() []Subject {
	if len(e.Subjects) == 0 {
		return e.Request.Subjects()
	}
	var all []Subject
	for _, s := range e.Subjects {
		if s.Outcome != ErasureNothingFound {
			all = append(all, s.Subject)
		}
	}
	return all
}

// Summary is the erasure without what grows with the number of its subjects.
func (e Erasure) Summary() Erasure {
	e.Request, e.Subjects = e.Request.WithoutLists(), nil
	return e
}

// IsOf reports whether the erasure is what a request with its id asks for, as far as is
// known.
func (e Erasure) IsOf(r ErasureRequest) bool { return e.Restored() || e.Request.SameAs(r) }

// Validate reports every broken rule as one *InvalidError.
func (r *ErasureRequest) Validate() error {
	var p problems
	p.erasure(*r)
	given := 0
	for _, is := range []bool{r.ContactID != "", r.InteractionID != "", len(r.Contacts)+len(r.Interactions) > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		p.add("contact_id", "give one of contact_id, interaction_id, and lists of contacts and interactions")
	}
	if n := len(r.Contacts) + len(r.Interactions); n > MaxSubjects {
		p.add("contacts", "there are %d contacts and interactions; the limit is %d", n, MaxSubjects)
		return p.err()
	}
	if bytes := p.ids("contacts", r.Contacts) + p.ids("interactions", r.Interactions); bytes > maxContactBytes {
		p.add("contacts", "the ids have %s together; the limit is %d", Counted(bytes, "byte"), maxContactBytes)
	}
	return p.err()
}

// erasure checks what every part of an erasure has.
func (p *problems) erasure(r ErasureRequest) {
	p.tenant(r.TenantID)
	switch {
	case r.ErasureID == "":
		p.add("erasure_id", "is missing")
	case !exportPattern.MatchString(r.ErasureID):
		p.add("erasure_id", "%q must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit", shorten(r.ErasureID))
	}
	p.id("contact_id", r.ContactID, false)
	p.id("interaction_id", r.InteractionID, false)
	p.short("requested_by", r.RequestedBy)
	p.short("requested_from", r.RequestedFrom)
}

// AuditID is the id of the audit record of the request, whoever records it.
func (r *ErasureRequest) AuditID() string { return r.ID() + "/erasure/create" }

// AuditOfErasure is the audit record of an erasure's state, told by worker at now. That of
// its request is the one that whoever requested it records, too.
func AuditOfErasure(e Erasure, worker, outcome, detail string, now Time) *AuditRecord {
	action := map[string]string{
		ErasureDone: "complete", ErasureNothingFound: "complete", ErasureRepeated: "repeat", ErasureHeld: "hold",
	}[e.State]
	a := &AuditRecord{
		AuditID: e.Request.ID() + "/erasure/" + e.State + "/" + outcome, Time: now, TenantID: e.Request.TenantID,
		Actor: cmp.Or(e.Request.RequestedBy, worker), From: cmp.Or(e.Request.RequestedFrom, worker),
		Action: "erasure." + cmp.Or(action, "create"), Subject: e.Request.ErasureID, Outcome: outcome, Detail: bounded(detail),
	}
	if e.State == ErasureAccepted {
		a.AuditID = e.Request.AuditID()
	}
	return a
}
