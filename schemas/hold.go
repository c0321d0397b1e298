package schemas

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Hold keeps what is stored from being removed, on cdds.holds: the last version (see
// Versions) says what it is. It holds rows, of some contacts and interactions and of a range
// of time, and files, of some exports. It is made once, and ends when it is released.
type Hold struct {
	TenantID string `json:"tenant_id"`
	HoldID   string `json:"hold_id"`
	// Name is what people call it, such as the case, and Reason why it is there.
	Name   string `json:"name"`
	Reason string `json:"reason"`
	// Contacts are held with all interactions of which any version names them.
	Contacts     []string `json:"contacts,omitempty"`
	Interactions []string `json:"interactions,omitempty"`
	// From and To are a half-open range: every contact that was created in it and every
	// interaction that began in it is held. Both are given or none.
	From Time `json:"from,omitzero"`
	To   Time `json:"to,omitzero"`
	// Exports are ids of exports whose files are held.
	Exports   []string `json:"exports,omitempty"`
	CreatedAt Time     `json:"created_at"`
	CreatedBy string   `json:"created_by,omitempty"`
	// ReleaseRequestedBy asked for the release, where two people must.
	ReleaseRequestedBy string `json:"release_requested_by,omitempty"`
	ReleasedAt         Time   `json:"released_at,omitzero"`
	ReleasedBy         string `json:"released_by,omitempty"`
	UpdatedAt          Time   `json:"updated_at"`
	// Revision counts the versions from 1. 0, or none, replaces whatever version there is.
	Revision int `json:"revision,omitempty"`
}

// Version is the revision.
func (h *Hold) Version() int64 { return int64(h.Revision) }

// Topic is cdds.holds.
func (h *Hold) Topic() Topic { return TopicHolds }

// Key is tenant and hold.
func (h *Hold) Key() string { return h.TenantID + "/" + h.HoldID }

// Type is the CloudEvents type.
func (h *Hold) Type() string { return "cdds.hold.v1" }

// ID names the hold and when it was changed.
func (h *Hold) ID() string { return h.Key() + "/" + h.UpdatedAt.String() }

// At is when it was changed.
func (h *Hold) At() Time { return h.UpdatedAt }

// Active reports whether it holds: it was not released.
func (h Hold) Active() bool { return h.ReleasedAt.IsZero() }

// DecodeHold reads and validates the value of a cdds.holds message. Every error is a
// *MalformedError.
func DecodeHold(b []byte) (*Hold, error) {
	h := new(Hold)
	if err := readDefinition(b, h); err != nil {
		return nil, err
	}
	return validated(h)
}

// Limits of what a hold names.
const (
	maxHeld      = 2000
	maxHeldBytes = 128 << 10
)

// Validate reports every broken rule as one *InvalidError.
func (h *Hold) Validate() error {
	var p problems
	p.tenant(h.TenantID)
	if !exportPattern.MatchString(h.HoldID) {
		p.add("hold_id", "%q must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit", shorten(h.HoldID))
	}
	if strings.TrimSpace(h.Name) == "" || len(h.Name) > maxTitleBytes {
		p.add("name", "must have 1 to %d bytes, such as the name of the case", maxTitleBytes)
	}
	if strings.TrimSpace(h.Reason) == "" {
		p.add("reason", "say why it is held")
	}
	p.short("reason", h.Reason)
	p.short("created_by", h.CreatedBy)
	p.short("release_requested_by", h.ReleaseRequestedBy)
	p.short("released_by", h.ReleasedBy)
	p.instant("created_at", h.CreatedAt, true)
	p.instant("updated_at", h.UpdatedAt, true)
	p.instant("released_at", h.ReleasedAt, false)
	p.instant("from", h.From, false)
	p.instant("to", h.To, false)
	if h.From.IsZero() != h.To.IsZero() || !h.From.IsZero() && !h.From.Before(h.To.Time) {
		p.add("to", "give from and to, and from before to")
	}
	if h.Revision < 0 {
		p.add("revision", "%d must not be negative", h.Revision)
	}
	names := len(h.Contacts) + len(h.Interactions) + len(h.Exports)
	switch {
	case names == 0 && h.From.IsZero():
		p.add("contacts", "say what is held: contacts, interactions, exports, or from and to")
	case names > maxHeld:
		p.add("contacts", "there are %d contacts, interactions and exports; the limit of a hold is %d", names, maxHeld)
		return p.err()
	}
	if bytes := p.ids("contacts", h.Contacts) + p.ids("interactions", h.Interactions) + p.ids("exports", h.Exports); bytes > maxHeldBytes {
		p.add("contacts", "the ids have %s together; the limit of a hold is %d", Counted(bytes, "byte"), maxHeldBytes)
	}
	return p.err()
}

// CheckExports is an *InvalidError for ids that no export can have: they would hold nothing.
// Validate lets them pass, so that a hold that is on the topic with such an id keeps the rest.
func (h *Hold) CheckExports() error {
	var p problems
	for n, id := range h.Exports {
		if !exportPattern.MatchString(id) {
			p.add(fmt.Sprintf("exports[%d]", n), "%q is not the id of an export: these are 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit", shorten(id))
		}
	}
	return p.err()
}

// Holds are the active holds of a tenant. Everything that removes rows or files asks them
// before it does.
type Holds []Hold

// OfRow is the first hold of a row: one that is an entity of a time and id, with the contacts
// that its versions name.
func (all Holds) OfRow(entity string, key RowKey, contacts []string) (Hold, bool) {
	return all.first(func(h Hold) bool {
		return entity == EntityInteraction && slices.Contains(h.Interactions, key.ID) ||
			slices.ContainsFunc(contacts, func(c string) bool { return c != "" && slices.Contains(h.Contacts, c) }) ||
			!h.From.IsZero() && !key.Time.Before(h.From.Time) && key.Time.Before(h.To.Time)
	})
}

// OfExport is the first hold of the files of an export.
func (all Holds) OfExport(exportID string) (Hold, bool) {
	return all.first(func(h Hold) bool { return slices.Contains(h.Exports, exportID) })
}

// Has reports whether a hold with an id is active.
func (all Holds) Has(holdID string) bool {
	_, ok := all.first(func(h Hold) bool { return h.HoldID == holdID })
	return ok
}

func (all Holds) first(is func(Hold) bool) (Hold, bool) {
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return Hold{}, false
	}
	return all[i], true
}

// OldestHoldFirst orders holds by when they were made.
func OldestHoldFirst(a, b Hold) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.HoldID, b.HoldID))
}
