package schemas

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Match limits rows beyond time and media type. All that is given must hold; of a list
// one member. What is empty limits nothing.
type Match struct {
	// Queues, Directions and Statuses are values of the interaction's own members.
	Queues     []string `json:"queues,omitempty"`
	Directions []string `json:"directions,omitempty"`
	Statuses   []string `json:"statuses,omitempty"`
	// Attributes are names with the value each must have.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// IsZero reports whether nothing is limited.
func (m Match) IsZero() bool {
	return len(m.Queues) == 0 && len(m.Directions) == 0 && len(m.Statuses) == 0 && len(m.Attributes) == 0
}

// sorted is the same limits in the one order they are written in.
func (m Match) sorted() Match {
	return Match{distinct(m.Queues), distinct(m.Directions), distinct(m.Statuses), m.Attributes}
}

// distinct is a list in its canonical order; nil if it is empty.
func distinct(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// Limits of the contacts that an export is limited to.
const (
	// MaxContacts is how many there may be.
	MaxContacts = 10_000
	// maxContactBytes bounds them together: the request travels in status events, too.
	maxContactBytes = 512 << 10
)

func (p *problems) contacts(ids []string, reason string) {
	if len(ids) > MaxContacts {
		p.add("contacts", "there are %d; the limit is %d", len(ids), MaxContacts)
		return
	}
	if bytes := p.ids("contacts", ids); bytes > maxContactBytes {
		p.add("contacts", "the ids have %s together; the limit is %d", Counted(bytes, "byte"), maxContactBytes)
	}
	if len(ids) > 0 && strings.TrimSpace(reason) == "" {
		p.add("reason", "say why you need the data of these contacts, for example the case number")
	}
	p.short("reason", reason)
}

// ids checks a list of ids, and returns how many bytes they have together.
func (p *problems) ids(list string, ids []string) (bytes int) {
	given := map[string]int{}
	for n, id := range ids {
		field := fmt.Sprintf("%s[%d]", list, n)
		p.id(field, id, true)
		bytes += len(id)
		if first, twice := given[id]; twice {
			p.add(field, "%q is %s[%d] already; name each %s once", shorten(id), list, first, strings.TrimSuffix(list, "s"))
		}
		given[id] = n
	}
	return bytes
}

func (p *problems) match(m Match, entity string) {
	if entity == EntityContact && (len(m.Queues) > 0 || len(m.Directions) > 0 || len(m.Statuses) > 0) {
		p.add("queues", "contacts have no queue, direction or status; leave them out")
	}
	for _, list := range []struct {
		field  string
		values []string
	}{{"queues", m.Queues}, {"directions", m.Directions}, {"statuses", m.Statuses}} {
		if len(list.values) > maxMatchValues {
			p.add(list.field, "there are %d; the limit is %d", len(list.values), maxMatchValues)
		}
	}
	for _, q := range m.Queues {
		if q == "" || len(q) > maxIDBytes || strings.ContainsFunc(q, unicode.IsControl) {
			p.add("queues", "%q must have 1 to %d bytes and no control character", shorten(q), maxIDBytes)
		}
	}
	for _, d := range m.Directions {
		p.oneOf("directions", d, Directions(), true)
	}
	for _, s := range m.Statuses {
		if !isWord(s) {
			p.add("statuses", "%q must be a lower-case word of up to 64 of a-z 0-9 _ -", shorten(s))
		}
	}
	if len(m.Attributes) > maxMatchValues {
		p.add("attributes", "there are %d; the limit is %d", len(m.Attributes), maxMatchValues)
	}
	values := 0
	for name, value := range m.Attributes {
		values += len(value)
		if name == "" || len(name) > maxIDBytes || len(value) > maxShortTextBytes {
			p.add("attributes", "a name must have 1 to %d bytes and its value at most %d", maxIDBytes, maxShortTextBytes)
			return
		}
	}
	if values > maxMatchBytes {
		p.add("attributes", "the values have %s together; the limit is %d", Counted(values, "byte"), maxMatchBytes)
	}
}
