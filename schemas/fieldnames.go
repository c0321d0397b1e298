package schemas

import (
	"bytes"
	"slices"
	"strings"
)

// NamesGenesys writes the field names of Genesys Cloud Data Download and User Data Management
// next to ours.
const NamesGenesys = "genesys"

// NamesChoices lists whose field names an export can have next to ours.
func NamesChoices() []string { return []string{NamesGenesys} }

// FieldName is the name that another product's export has for a member of ours.
type FieldName struct {
	Ours, Theirs string
	kind         theirKind
}

// theirKind says how a value of theirs differs from ours.
type theirKind int

const (
	// sameValue is spelled alike. A number where we have a text becomes its digits.
	sameValue theirKind = iota
	// directionValue begins with a capital letter.
	directionValue
	// lowerValue may have capital letters.
	lowerValue
	// timeValue may have another form.
	timeValue
	// flagValue and numberValue may be texts.
	flagValue
	numberValue
	// pairsValue may have values that are no texts.
	pairsValue
)

// genesysNames are in the order in which exports have them. status, subject and text have one
// name in both.
var genesysNames = map[string][]FieldName{
	EntityInteraction: {
		{"interaction_id", "ixnId", sameValue}, {"tenant_id", "tenantId", sameValue},
		{"media_type", "mediaTypeId", lowerValue}, {"direction", "typeId", directionValue},
		{"started_at", "startDate", timeValue}, {"ended_at", "endDate", timeValue}, {"modified_at", "modifiedDate", timeValue},
		{"parent_id", "parentId", sameValue}, {"thread_id", "threadId", sameValue},
		{"contact_id", "contactId", sameValue}, {"agent_id", "ownerId", sameValue},
		{"queue", "queueName", sameValue}, {"category", "categoryId", sameValue}, {"notes", "theComment", sameValue},
		{"language", "lang", sameValue}, {"attributes", "allAttributes", pairsValue},
		{"entity_type", "entityTypeId", sameValue}, {"subtype", "subtypeId", sameValue}, {"external_id", "externalId", sameValue},
		{"time_shift", "timeShift", numberValue},
		{"structured_text", "structuredText", sameValue}, {"structured_text_type", "structTextMimetype", sameValue},
		{"subtenant_id", "subtenantId", sameValue}, {"thread_hash", "threadHash", sameValue},
		{"can_be_parent", "canBeParent", flagValue}, {"creator_app_id", "creatorAppId", sameValue},
		{"is_spam", "isSpam", flagValue}, {"web_safe_email_status", "webSafeEmailStatus", sameValue},
		{"category_approved", "isCategoryApproved", flagValue}, {"stopped_reason", "stoppedReason", sameValue},
	},
	EntityContact: {
		{"contact_id", "ContactId", sameValue}, {"tenant_id", "tenantid", sameValue}, {"created_at", "createddate", timeValue},
	},
}

// FieldNames are another product's names of the members of an entity.
type FieldNames struct {
	list []FieldName
	// ours are places in list by name, theirs by name in small letters: files of theirs differ.
	ours, theirs map[string]int
}

// FieldNamesOf returns the names of an entity's members; nil without another product.
func FieldNamesOf(product, entity string) *FieldNames {
	if product != NamesGenesys {
		return nil
	}
	n := &FieldNames{list: genesysNames[entity], ours: map[string]int{}, theirs: map[string]int{}}
	for i, name := range n.list {
		n.ours[name.Ours], n.theirs[strings.ToLower(name.Theirs)] = i, i
	}
	return n
}

// place is where in the list the name of a member is, and whether it is theirs; -1 without one.
func (n *FieldNames) place(name []byte) (i int, theirs bool) {
	if i, ours := n.ours[string(name)]; ours {
		return i, false
	}
	if i, theirs := n.theirs[strings.ToLower(string(name))]; theirs {
		return i, true
	}
	return -1, false
}

// All lists the names in the order in which exports have them.
func (n *FieldNames) All() []FieldName { return slices.Clone(n.list) }

// Copies returns what adds the names to lines of JSON. It is for one goroutine.
func (n *FieldNames) Copies() *NameCopies {
	return &NameCopies{names: n, values: make([][]byte, len(n.list))}
}

// NameCopies adds to a row, under the names of another product, what the row shows under ours.
// It knows nothing but that row, so what a field policy hides has no copy. A member of the row
// that has one of the other names already gives way to the copy, or goes: it might show what the
// policy hides.
type NameCopies struct {
	names  *FieldNames
	values [][]byte
	lineReader
}

// Append appends the row with its copies, which follow our members. An error says that line is no
// JSON object; nothing of its content is in it.
func (c *NameCopies) Append(dst, line []byte) ([]byte, error) {
	clear(c.values)
	before := len(dst)
	dst = append(dst, '{')
	add := func(quoted, value []byte) {
		if len(dst) > before+1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, quoted...), ':'), value...)
	}
	err := c.members(line, func(quoted, value []byte) {
		i, theirs := c.names.place(nameIn(quoted))
		if theirs {
			return
		}
		if i >= 0 {
			c.values[i] = value
		}
		add(quoted, value)
	})
	if err != nil {
		return dst[:before], err
	}
	for i, value := range c.values {
		if value == nil {
			continue
		}
		name := c.names.list[i]
		add([]byte(`"`+name.Theirs+`"`), name.copied(value))
	}
	c.in = nil // keeps no row alive
	return append(dst, '}'), nil
}

// nameIn is the name of a member without its quotes and escapes.
func nameIn(quoted []byte) []byte {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		return []byte(unquote(quoted))
	}
	return name
}

// copied is a value of ours as they spell it.
func (n FieldName) copied(value []byte) []byte {
	if n.kind == directionValue && len(value) > 2 && value[0] == '"' && isLower(value[1]) {
		value = bytes.Clone(value)
		value[1] -= 'a' - 'A'
	}
	return value
}
