package schemas

import "reflect"

// Contact is a customer. (tenant_id, created_at, contact_id) is its immutable
// identity; an update is the whole contact again, and the last one published
// counts.
type Contact struct {
	ContactID   string            `json:"contact_id"`
	TenantID    string            `json:"tenant_id"`
	CreatedAt   Time              `json:"created_at"`
	ModifiedAt  *Time             `json:"modified_at,omitempty"`
	DisplayName string            `json:"display_name,omitempty"`
	FirstName   string            `json:"first_name,omitempty"`
	LastName    string            `json:"last_name,omitempty"`
	Company     string            `json:"company,omitempty"`
	Emails      []string          `json:"emails,omitempty"`
	Phones      []string          `json:"phones,omitempty"`
	Language    string            `json:"language,omitempty"`
	Notes       string            `json:"notes,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`

	// Body is the event as published, on one line with its times in wire form:
	// what exports carry. DecodeContact sets it; an event made in Go has none.
	Body []byte `json:"-"`
}

var contactMembers = membersOf(reflect.TypeFor[Contact]())

// plainContact has the fields of Contact without its methods.
type plainContact Contact

// MarshalJSON returns Body where there is one, so that what was read is published
// unchanged.
func (c *Contact) MarshalJSON() ([]byte, error) {
	if c.Body != nil {
		return c.Body, nil
	}
	return Encode((*plainContact)(c))
}

// Topic is cdds.contacts.
func (c *Contact) Topic() Topic { return TopicContacts }

// Key is the contact id.
func (c *Contact) Key() string { return c.ContactID }

// Type is the CloudEvents type.
func (c *Contact) Type() string { return "cdds.contact.v1" }

// ID names the version of the contact: its id and time of change.
func (c *Contact) ID() string { return c.TenantID + "/" + c.ContactID + "/" + c.At().String() }

// At is when the contact was last changed, or created.
func (c *Contact) At() Time {
	if c.ModifiedAt != nil {
		return *c.ModifiedAt
	}
	return c.CreatedAt
}

// Validate reports every broken rule as one *InvalidError.
func (c *Contact) Validate() error {
	var p problems
	p.id("contact_id", c.ContactID, true)
	p.tenant(c.TenantID)
	p.instant("created_at", c.CreatedAt, true)
	if c.ModifiedAt != nil {
		p.instant("modified_at", *c.ModifiedAt, false)
	}
	p.short("display_name", c.DisplayName)
	p.short("first_name", c.FirstName)
	p.short("last_name", c.LastName)
	p.short("company", c.Company)
	p.short("language", c.Language)
	for field, list := range map[string][]string{"emails": c.Emails, "phones": c.Phones} {
		if len(list) > maxAttachments {
			p.add(field, "has %d members; the limit is %d", len(list), maxAttachments)
			continue
		}
		for _, v := range list {
			p.id(field, v, true)
		}
	}
	p.attributes(c.Attributes)
	return p.err()
}
