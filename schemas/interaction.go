package schemas

import (
	"reflect"
	"regexp"
	"slices"
)

var (
	mediaTypes = []string{"voice", "chat", "email", "sms", "message", "social", "video"}
	directions = []string{"inbound", "outbound", "internal"}
)

// maxTimeShift is more than any time zone is away from UTC, in minutes.
const maxTimeShift = 24 * 60

// MediaTypes lists the media types an interaction can have.
func MediaTypes() []string { return slices.Clone(mediaTypes) }

// Directions lists the directions an interaction can have.
func Directions() []string { return slices.Clone(directions) }

// Interaction is one conversation with a customer: a call, chat, e-mail or
// message. (tenant_id, started_at, interaction_id) is its immutable identity; an
// update is the whole interaction again, and the last one published counts.
type Interaction struct {
	InteractionID string `json:"interaction_id"`
	TenantID      string `json:"tenant_id"`
	MediaType     string `json:"media_type"`
	Direction     string `json:"direction,omitempty"`
	Status        string `json:"status,omitempty"`
	StartedAt     Time   `json:"started_at"`
	EndedAt       *Time  `json:"ended_at,omitempty"`
	ModifiedAt    *Time  `json:"modified_at,omitempty"`
	ParentID      string `json:"parent_id,omitempty"`
	ThreadID      string `json:"thread_id,omitempty"`
	ContactID     string `json:"contact_id,omitempty"`
	AgentID       string `json:"agent_id,omitempty"`
	Queue         string `json:"queue,omitempty"`
	Category      string `json:"category,omitempty"`
	Subject       string `json:"subject,omitempty"`
	Text          string `json:"text,omitempty"`
	Notes         string `json:"notes,omitempty"`
	Language      string `json:"language,omitempty"`
	Disposition   string `json:"disposition,omitempty"`
	// EntityType to StoppedReason are what other products know of interactions; see
	// genesysNames.
	EntityType         string            `json:"entity_type,omitempty"`
	Subtype            string            `json:"subtype,omitempty"`
	ExternalID         string            `json:"external_id,omitempty"`
	TimeShift          *int64            `json:"time_shift,omitempty"` // minutes from UTC
	StructuredText     string            `json:"structured_text,omitempty"`
	StructuredTextType string            `json:"structured_text_type,omitempty"`
	SubtenantID        string            `json:"subtenant_id,omitempty"`
	ThreadHash         string            `json:"thread_hash,omitempty"`
	CanBeParent        *bool             `json:"can_be_parent,omitempty"`
	CreatorAppID       string            `json:"creator_app_id,omitempty"`
	IsSpam             *bool             `json:"is_spam,omitempty"`
	WebSafeEmailStatus string            `json:"web_safe_email_status,omitempty"`
	CategoryApproved   *bool             `json:"category_approved,omitempty"`
	StoppedReason      string            `json:"stopped_reason,omitempty"`
	Attributes         map[string]string `json:"attributes,omitempty"`
	Attachments        []Attachment      `json:"attachments,omitempty"`

	// Body is the event as published, on one line with its times in wire form:
	// what exports carry. DecodeInteraction sets it; an event made in Go has none.
	Body []byte `json:"-"`
}

var (
	interactionMembers = membersOf(reflect.TypeFor[Interaction]())
	sha256Pattern      = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// plainInteraction has the fields of Interaction without its methods.
type plainInteraction Interaction

// MarshalJSON returns Body where there is one, so that what was read is published
// unchanged.
func (i *Interaction) MarshalJSON() ([]byte, error) {
	if i.Body != nil {
		return i.Body, nil
	}
	return Encode((*plainInteraction)(i))
}

// Topic is cdds.interactions.
func (i *Interaction) Topic() Topic { return TopicInteractions }

// Key is the interaction id.
func (i *Interaction) Key() string { return i.InteractionID }

// Type is the CloudEvents type.
func (i *Interaction) Type() string { return "cdds.interaction.v1" }

// ID names the version of the interaction: its id and time of change.
func (i *Interaction) ID() string {
	return i.TenantID + "/" + i.InteractionID + "/" + i.At().String()
}

// At is when the interaction was last changed, or began.
func (i *Interaction) At() Time {
	if i.ModifiedAt != nil {
		return *i.ModifiedAt
	}
	return i.StartedAt
}

// Validate reports every broken rule as one *InvalidError.
func (i *Interaction) Validate() error {
	var p problems
	p.id("interaction_id", i.InteractionID, true)
	p.tenant(i.TenantID)
	p.oneOf("media_type", i.MediaType, mediaTypes, true)
	p.oneOf("direction", i.Direction, directions, false)
	p.word("status", i.Status)
	p.instant("started_at", i.StartedAt, true)
	if i.EndedAt != nil {
		p.instant("ended_at", *i.EndedAt, false)
	}
	if i.ModifiedAt != nil {
		p.instant("modified_at", *i.ModifiedAt, false)
	}
	p.id("parent_id", i.ParentID, false)
	p.id("thread_id", i.ThreadID, false)
	p.id("contact_id", i.ContactID, false)
	p.id("agent_id", i.AgentID, false)
	p.short("queue", i.Queue)
	p.short("category", i.Category)
	p.short("subject", i.Subject)
	p.short("language", i.Language)
	p.short("disposition", i.Disposition)
	p.short("entity_type", i.EntityType)
	p.short("subtype", i.Subtype)
	p.id("external_id", i.ExternalID, false)
	if s := i.TimeShift; s != nil && (*s < -maxTimeShift || *s > maxTimeShift) {
		p.add("time_shift", "%d is outside %d to %d minutes", *s, -maxTimeShift, maxTimeShift)
	}
	p.short("structured_text_type", i.StructuredTextType)
	p.id("subtenant_id", i.SubtenantID, false)
	p.short("thread_hash", i.ThreadHash)
	p.id("creator_app_id", i.CreatorAppID, false)
	p.short("web_safe_email_status", i.WebSafeEmailStatus)
	p.short("stopped_reason", i.StoppedReason)
	p.attributes(i.Attributes)
	p.attachments(i.TenantID, i.Attachments)
	return p.err()
}
