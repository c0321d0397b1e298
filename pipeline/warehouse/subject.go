package warehouse

import (
	"time"

	"cdds/schemas"
)

// Subject is whom or what an erasure of a tenant is about: its kind is contact or interaction.
type Subject struct{ TenantID, Kind, ID string }

// key is what the filter knows a subject by; ids have no zero byte before their end.
func (s Subject) key() string { return s.TenantID + "\x00" + s.Kind + "\x00" + s.ID }

// Erased is a subject of one erasure.
type Erased struct {
	Subject
	ErasureID string
}

func erasedOf(s *schemas.ErasedSubject) Erased {
	return Erased{Subject{s.Request.TenantID, s.Kind, s.SubjectID}, s.Request.ErasureID}
}

// Forgotten is one erasure of a subject, as of a point in each topic.
type Forgotten struct {
	ErasureID              string
	Interactions, Contacts schemas.Snapshot
}

// of is the same erasure of another subject.
func (f Forgotten) of(s Subject) *schemas.ErasedSubject {
	return &schemas.ErasedSubject{
		Request: schemas.ErasureRequest{TenantID: s.TenantID, ErasureID: f.ErasureID},
		Kind:    s.Kind, SubjectID: s.ID, Interactions: f.Interactions, Contacts: f.Contacts,
	}
}

// below is the point in a topic.
func (f Forgotten) below(topic schemas.Topic) schemas.Snapshot {
	switch topic {
	case schemas.TopicInteractions:
		return f.Interactions
	case schemas.TopicContacts:
		return f.Contacts
	}
	return nil
}

// ErasedRow is the position of a row that was erased.
type ErasedRow struct {
	Topic               schemas.Topic
	Partition           int32
	Offset              int64
	TenantID, ErasureID string
	Time                time.Time
}
