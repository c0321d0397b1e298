package schemas

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// fieldKind says what a policy may do with a member.
type fieldKind int

const (
	// fixedField stays as it is: what an export is sorted, named and proven by.
	fixedField fieldKind = iota
	// identityField can only become a pseudonym: a row that has no identity cannot be updated or
	// removed.
	identityField
	// referenceField can become a pseudonym or be left out; cut short it would refer to another.
	referenceField
	// plainField can only be left out: times, numbers, and words of a closed list.
	plainField
	// freeField can only be left out: who is spoken of stands anywhere in a free text, so neither
	// its beginning nor its digest is free of personal data. A digest of a short one can be guessed.
	freeField
	// textField can be left out, cut short or become a pseudonym.
	textField
	// objectField has members of its own, as has each element of a list.
	objectField
	// mapField has members of any name that are textFields.
	mapField
)

var fieldKindAllows = map[fieldKind][]string{
	fixedField: nil, identityField: {FieldPseudonym}, referenceField: {FieldLeaveOut, FieldPseudonym},
	plainField: {FieldLeaveOut}, freeField: {FieldLeaveOut}, objectField: {FieldLeaveOut}, mapField: {FieldLeaveOut},
	textField: FieldActions(),
}

var fieldKindReasons = map[fieldKind]string{
	fixedField:     "must stay as it is: exports are sorted, filed and proven by it",
	identityField:  "is the identity; it can only become a pseudonym",
	referenceField: "is an id; it can be left out or become a pseudonym",
	plainField:     "can only be left out",
	freeField:      "is free text, which can only be left out: who is spoken of may stand anywhere in it",
	objectField:    "has members; name these, or leave it out",
	mapField:       "has members; name these, or leave it out",
}

// fieldsOf are the members that a policy knows, by entity. They are also what a policy keeps that
// leaves out unknown members. So a member that the schema gets later must not simply be added: a
// policy that left it out would show it.
var fieldsOf = map[string]map[string]fieldKind{
	EntityInteraction: {
		"interaction_id": identityField, "tenant_id": fixedField, "started_at": fixedField,
		"media_type": plainField, "direction": plainField, "status": plainField, "ended_at": plainField, "modified_at": plainField,
		"parent_id": referenceField, "thread_id": referenceField, "contact_id": referenceField, "agent_id": referenceField,
		"queue": textField, "category": textField, "language": textField, "disposition": textField,
		"subject": freeField, "text": freeField, "notes": freeField,
		"entity_type": plainField, "subtype": plainField, "time_shift": plainField, "structured_text_type": plainField,
		"can_be_parent": plainField, "is_spam": plainField, "category_approved": plainField,
		"external_id": referenceField, "subtenant_id": referenceField, "creator_app_id": referenceField, "thread_hash": referenceField,
		"structured_text": freeField, "web_safe_email_status": textField, "stopped_reason": textField,
		"attributes": mapField, "attachments": objectField,
	},
	EntityContact: {
		"contact_id": identityField, "tenant_id": fixedField, "created_at": fixedField, "modified_at": plainField,
		"display_name": textField, "first_name": textField, "last_name": textField, "company": textField,
		"emails": textField, "phones": textField, "language": textField, "notes": freeField,
		"attributes": mapField,
	},
}

// attachmentFields are those of the elements of attachments.
var attachmentFields = map[string]fieldKind{
	"attachment_id": identityField, "size": fixedField, "sha256": fixedField,
	"name": freeField, "content_type": plainField, "content": freeField, "object": freeField,
}

// Presets of field policies. A preset never changes what it does: another one gets another name.
const (
	// PresetPersonal shows nothing that names or describes a person: ids become pseudonyms, and
	// names, addresses, free text, attributes, attachments and unknown members are left out.
	PresetPersonal = "personal"
	// PresetIdentifiers hides who somebody is and shows what was said: ids of people become
	// pseudonyms, and names and addresses are left out. Free text may still name people.
	PresetIdentifiers = "identifiers"
	// PresetFreeText leaves out what was said and shown: free text and attachments.
	PresetFreeText = "free_text"
)

// FieldPresets lists the presets.
func FieldPresets() []string { return []string{PresetPersonal, PresetIdentifiers, PresetFreeText} }

var fieldPresets = map[string]map[string]*FieldPolicy{
	PresetPersonal: {
		EntityInteraction: {
			Pseudonym: []string{"/interaction_id", "/parent_id", "/thread_id", "/contact_id", "/agent_id", "/external_id", "/thread_hash"},
			LeaveOut:  []string{"/subject", "/text", "/notes", "/structured_text", "/stopped_reason", "/web_safe_email_status", "/attributes", "/attachments"},
			Unknown:   UnknownLeaveOut,
		},
		EntityContact: {
			Pseudonym: []string{"/contact_id"},
			LeaveOut:  []string{"/display_name", "/first_name", "/last_name", "/company", "/emails", "/phones", "/notes", "/attributes"},
			Unknown:   UnknownLeaveOut,
		},
	},
	PresetIdentifiers: {
		EntityInteraction: {Pseudonym: []string{"/contact_id", "/agent_id"}},
		EntityContact: {
			Pseudonym: []string{"/contact_id"},
			LeaveOut:  []string{"/display_name", "/first_name", "/last_name", "/company", "/emails", "/phones"},
		},
	},
	PresetFreeText: {
		EntityInteraction: {LeaveOut: []string{"/subject", "/text", "/notes", "/structured_text", "/attachments"}},
		EntityContact:     {LeaveOut: []string{"/notes"}},
	},
}

// fieldNode is a place in rows that rules reach.
type fieldNode struct {
	// rule is the one for this place; its Action is empty if there are rules within only.
	rule    FieldRule
	members map[string]*fieldNode
	// known, if there is any, are the members that stay: all others are left out.
	known map[string]fieldKind
}

// compileFields makes the tree of a policy's rules. What is wrong with them it says of each.
func compileFields(of *FieldPolicy, entity string) (root *fieldNode, bad []string) {
	rules, unknown := of.expanded(entity)
	root = &fieldNode{}
	if unknown == UnknownLeaveOut {
		root.known = fieldsOf[entity]
		if entity == EntityInteraction {
			root.members = map[string]*fieldNode{"attachments": {known: attachmentFields}}
		}
	}
	for _, r := range rules {
		tokens, err := pointerTokens(r.Pointer)
		if err == nil {
			err = allowed(tokens, r, entity, unknown)
		}
		if err == nil {
			err = root.insert(tokens, r)
		}
		if err != nil {
			bad = append(bad, fmt.Sprintf("%q %v", shorten(r.Pointer), err))
		}
	}
	return root, bad
}

// insert adds a rule, unless another one is about the same, or about something within.
func (n *fieldNode) insert(tokens []string, r FieldRule) error {
	for _, token := range tokens {
		if n.rule.Action != "" {
			return fmt.Errorf("is within %q, which has a rule already", shorten(n.rule.Pointer))
		}
		next := n.members[token]
		if next == nil {
			next = &fieldNode{}
			if n.members == nil {
				n.members = map[string]*fieldNode{}
			}
			n.members[token] = next
		}
		n = next
	}
	switch within := n.first(); {
	case n.rule.Action != "":
		return fmt.Errorf("is named twice; give one rule for each member")
	case within != "":
		return fmt.Errorf("contains %q, which has a rule already", shorten(within))
	}
	*n = fieldNode{rule: r}
	return nil
}

// first is the first pointer of a rule below a node, or empty.
func (n *fieldNode) first() string {
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		if m := n.members[name]; m.rule.Action != "" {
			return m.rule.Pointer
		} else if below := m.first(); below != "" {
			return below
		}
	}
	return ""
}

// allowed says why a rule cannot be.
func allowed(tokens []string, r FieldRule, entity, unknown string) error {
	switch {
	case r.Action == FieldTruncate && (r.Keep < 1 || r.Keep > maxTruncatedKeep):
		return fmt.Errorf("keeps %d characters; give 1 to %d, or leave the member out", r.Keep, maxTruncatedKeep)
	case r.Action != FieldTruncate && r.Keep != 0:
		return fmt.Errorf("keeps characters, which is for truncate")
	}
	known := fieldsOf[entity]
	for depth, token := range tokens {
		last := depth == len(tokens)-1
		kind, is := known[token]
		if !is {
			return unknownMember(token, tokens[depth:], known, unknown)
		}
		if last {
			if !slices.Contains(fieldKindAllows[kind], r.Action) {
				return fmt.Errorf("%s", fieldKindReasons[kind])
			}
			return nil
		}
		switch kind {
		case objectField:
			known = attachmentFields
		case mapField:
			if depth+2 < len(tokens) {
				return fmt.Errorf("reaches into the value of an attribute, which is a text")
			}
			return nil
		default:
			return fmt.Errorf("reaches into %q, which has no members", token)
		}
	}
	return nil
}

// unknownMember says why a rule cannot be about a member that the schema does not have, if so.
func unknownMember(token string, rest []string, known map[string]fieldKind, unknown string) error {
	for name := range known {
		if strings.EqualFold(name, token) {
			return fmt.Errorf("must be written %q", name)
		}
	}
	for _, t := range rest {
		if t == "-" || t != "" && strings.Trim(t, "0123456789") == "" {
			return fmt.Errorf("names a place in a list; a pointer to the list stands for each element, so leave the number out")
		}
	}
	switch unknown {
	case UnknownKeep:
		return nil
	case UnknownLeaveOut:
		return fmt.Errorf("is left out already, as unknown members are")
	}
	return fmt.Errorf("is no known member: known are %s; if your producers publish it, set unknown to %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "), UnknownKeep)
}

// pointerTokens are the names that a JSON Pointer (RFC 6901) consists of.
func pointerTokens(pointer string) ([]string, error) {
	switch {
	case len(pointer) > maxPointerBytes:
		return nil, fmt.Errorf("has %d bytes; the limit is %d", len(pointer), maxPointerBytes)
	case !utf8.ValidString(pointer):
		return nil, fmt.Errorf("%s", notUnicode)
	case pointer == "":
		return nil, fmt.Errorf("names the whole row; name a member, such as /text")
	case pointer[0] != '/':
		return nil, fmt.Errorf("is not a JSON Pointer (RFC 6901): it must begin with /")
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, token := range tokens {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
			return nil, fmt.Errorf("is not a JSON Pointer (RFC 6901): ~ is written ~0, and / within a name ~1")
		}
		tokens[i] = unescapeToken(token)
	}
	return tokens, nil
}

func unescapeToken(token string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}

func escapeToken(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
