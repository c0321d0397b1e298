package schemas

import "slices"

// Kinds of what can be erased.
const (
	ErasedContact     = "contact"
	ErasedInteraction = "interaction"
)

// ErasedKinds lists the kinds of what can be erased.
func ErasedKinds() []string { return []string{ErasedContact, ErasedInteraction} }

// ErasedSubject is a contact or an interaction that was forgotten, and as of which
// point, on cdds.erased: so that Kafka, read again into a ClickHouse that knows nothing
// of it, does not bring it back. The erasure of a contact has one for the contact and
// one for each of its interactions. It holds ids, and nothing else of anybody.
type ErasedSubject struct {
	// Request is the erasure it is part of, without its lists.
	Request ErasureRequest `json:"request"`
	// Kind is contact or interaction, and SubjectID the id of that.
	Kind      string `json:"kind"`
	SubjectID string `json:"id"`
	// Interactions and Contacts are as of which point of their topics it is forgotten.
	Interactions Snapshot `json:"interactions_snapshot"`
	Contacts     Snapshot `json:"contacts_snapshot"`
	ErasedAt     Time     `json:"erased_at"`
}

// Topic is cdds.erased.
func (s *ErasedSubject) Topic() Topic { return TopicErased }

// Key tells the subjects of all erasures apart; the id, which may hold anything, is last.
func (s *ErasedSubject) Key() string { return s.Request.ID() + "/" + s.Kind + "/" + s.SubjectID }

// Type is the CloudEvents type.
func (s *ErasedSubject) Type() string { return "cdds.erased.v1" }

// ID names the fact.
func (s *ErasedSubject) ID() string { return s.Key() }

// At is when it was erased.
func (s *ErasedSubject) At() Time { return s.ErasedAt }

// Validate reports every broken rule as one *InvalidError.
func (s *ErasedSubject) Validate() error {
	var p problems
	p.erasure(s.Request)
	p.oneOf("kind", s.Kind, ErasedKinds(), true)
	p.id("id", s.SubjectID, true)
	for name, snapshot := range map[string]Snapshot{"interactions_snapshot": s.Interactions, "contacts_snapshot": s.Contacts} {
		if slices.ContainsFunc(snapshot, func(offset int64) bool { return offset < 0 }) {
			p.add(name, "has an offset below 0")
		}
	}
	p.instant("erased_at", s.ErasedAt, true)
	return p.err()
}

// DecodeErasedSubject reads and validates the value of a cdds.erased message. Every
// error is a *MalformedError.
func DecodeErasedSubject(b []byte) (*ErasedSubject, error) {
	s := new(ErasedSubject)
	if err := readEvent(b, s); err != nil {
		return nil, err
	}
	return validated(s)
}
