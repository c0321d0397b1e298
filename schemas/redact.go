package schemas

import (
	"errors"
	"slices"
)

// Redaction carries out a field policy. It is safe for concurrent use.
type Redaction struct {
	applied *AppliedPolicy
	key     *PseudonymKey
	rows    *fieldNode
	// identity says that the ids of rows become pseudonyms, and with them whatever names a row.
	identity bool
	attached map[string]*fieldNode
}

// Errors of Redact.
var (
	ErrNoPseudonymKey    = errors.New("the field policy makes pseudonyms, and this service has no key for them")
	errPseudonymsWithout = errors.New("schemas: a redaction with pseudonyms has a key")
)

// Redact compiles a policy for the rows of an entity. key may be nil if nothing becomes a
// pseudonym; else it is ErrNoPseudonymKey.
func (p *FieldPolicy) Redact(entity string, key *PseudonymKey) (*Redaction, error) {
	root, bad := compileFields(p, entity)
	if len(bad) > 0 {
		return nil, &InvalidError{bad}
	}
	keyID := ""
	if p.Pseudonyms(entity) > 0 {
		if key == nil {
			return nil, ErrNoPseudonymKey
		}
		keyID = key.ID()
	}
	r := &Redaction{applied: p.Applied(entity, keyID), key: key, rows: root, identity: p.replacesIdentity(entity)}
	if a := root.members["attachments"]; a != nil {
		r.attached = a.members
	}
	return r, nil
}

// replacesIdentity reports whether ids of rows become pseudonyms.
func (p *FieldPolicy) replacesIdentity(entity string) bool {
	return p.Applied(entity, "").ReplacesIdentity(entity)
}

// ReplacesIdentity reports whether the ids of rows are pseudonyms.
func (a *AppliedPolicy) ReplacesIdentity(entity string) bool {
	if entity == EntityContact {
		return a.Replaces("/contact_id")
	}
	return a.Replaces("/interaction_id")
}

// Applied is what the manifest states.
func (r *Redaction) Applied() *AppliedPolicy { return r.applied }

// Key is the key of a row as the export shows it.
func (r *Redaction) Key(k RowKey) RowKey {
	if r.identity {
		k.ID = r.key.Of(k.ID)
	}
	return k
}

// Removal is a removal as the export shows it.
func (r *Redaction) Removal(of Removal) Removal {
	of.ID = r.Key(of.Key()).ID
	return of
}

// HiddenProblem is what an index shows of what is wrong with an attachment: the reason may quote
// its event.
const HiddenProblem = "the content is not to be had; the field policy hides why"

// AttachmentLine is a line of an index as the export shows it, without what is wrong.
func (r *Redaction) AttachmentLine(line AttachmentLine) AttachmentLine {
	if r.identity {
		line.InteractionID = r.key.Of(line.InteractionID)
	}
	rule := func(name string) string {
		if n := r.attached[name]; n != nil {
			return n.rule.Action
		}
		return ""
	}
	if rule("attachment_id") == FieldPseudonym {
		line.AttachmentID = r.key.Of(line.AttachmentID)
	}
	if rule("name") != "" {
		line.Name = ""
	}
	if rule("content_type") != "" {
		line.ContentType = ""
	}
	return line
}

// Filter is a filter as the manifest shows it: values of members that become pseudonyms do so.
func (r *Redaction) Filter(f Filter) Filter {
	replaced := func(pointer string, values []string) []string {
		if !r.applied.Replaces(pointer) || len(values) == 0 {
			return values
		}
		all := make([]string, len(values))
		for i, v := range values {
			all[i] = r.key.Of(v)
		}
		slices.Sort(all)
		return all
	}
	f.Contacts = replaced("/contact_id", f.Contacts)
	f.Queues = replaced("/queue", f.Queues)
	if len(f.Attributes) > 0 {
		shown := make(map[string]string, len(f.Attributes))
		for name, v := range f.Attributes {
			shown[name] = replaced("/attributes/"+escapeToken(name), []string{v})[0]
		}
		f.Attributes = shown
	}
	return f
}

// Line returns what carries the policy out on lines of JSON. It is for one goroutine.
func (r *Redaction) Line() *LineRedaction {
	l := &LineRedaction{root: r.rows}
	if r.key != nil {
		l.pseudonyms = r.key.hash()
	}
	return l
}
