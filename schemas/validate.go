package schemas

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// InvalidError lists the rules an event breaks, each as "field: what is wrong". It
// ends after 32: what breaks more is not going to be repaired by hand, and a list of
// a million negative offsets must not make an error of megabytes.
type InvalidError struct{ Problems []string }

func (e *InvalidError) Error() string { return strings.Join(e.Problems, "; ") }

// Identifiers that become parts of object keys and file names are limited to
// characters that mean nothing to a shell, a URL or a file system.
var (
	exportPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	// A run's export id is made from its job's id and a time, so that is shorter.
	jobPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	timeOfDayPattern = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	cronPattern      = regexp.MustCompile(`^[0-9A-Za-z*/,#?-]{1,64}( [0-9A-Za-z*/,#?-]{1,64}){4}$`)
)

// Instants outside this range are typing errors or sentinels of other systems
// (year 0, year 9999), and ClickHouse's DateTime64 could not hold all of them.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Limits on single fields, in bytes (text) or members (attributes, attachments).
const (
	maxIDBytes        = 256
	maxAttributes     = 256
	maxAttachments    = 64
	maxInlineBytes    = 1 << 20
	maxAttributeBytes = 64 << 10
	maxShortTextBytes = 4 << 10
	minSplitSize      = 64 << 10
	// MaxSplitSize bounds the split size of a request.
	MaxSplitSize       = 256 << 20
	maxRecipients      = 32
	maxCertificateText = 64 << 10
	maxProblems        = 32
)

// problems collects what is wrong with an event.
type problems struct{ list []string }

func (p *problems) add(field, format string, args ...any) {
	if len(p.list) == maxProblems {
		return
	}
	p.list = append(p.list, field+": "+fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &InvalidError{p.list}
}

// IsTenant reports whether id can be a tenant's: [a-z0-9][a-z0-9._-]{0,62}. As isWord it
// is asked of every event, and a regular expression takes ten times as long.
func IsTenant(id string) bool {
	return 0 < len(id) && len(id) <= 63 && (isLower(id[0]) || isDigit(id[0])) && consistsOf(id, "._-")
}

// BeforeTenants is a text that comes before every tenant's id that begins with prefix, and
// after every other id that comes before those.
func BeforeTenants(prefix string) string {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	return prefix[:last] + string(prefix[last]-1) + "~" // ~ comes after all that ids consist of
}

// isWord reports whether s is [a-z][a-z0-9_-]{0,63}.
func isWord(s string) bool {
	return 0 < len(s) && len(s) <= 64 && isLower(s[0]) && consistsOf(s, "_-")
}

// consistsOf reports whether s has but lower-case letters, digits and others.
func consistsOf(s, others string) bool {
	for i := range len(s) {
		if !isLower(s[i]) && !isDigit(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (p *problems) tenant(id string) {
	switch {
	case id == "":
		p.add("tenant_id", "is missing")
	case !IsTenant(id):
		p.add("tenant_id", "%q must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit", shorten(id))
	}
}

func (p *problems) exportID(id string) {
	switch {
	case id == "":
		p.add("export_id", "is missing")
	case !exportPattern.MatchString(id):
		p.add("export_id", "%q must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit", shorten(id))
	}
}

// id checks an identifier given by a producer: any Unicode text without control
// characters.
func (p *problems) id(field, id string, required bool) {
	switch {
	case id == "" && required:
		p.add(field, "is missing")
	case len(id) > maxIDBytes:
		p.add(field, "has %d bytes; the limit is %d", len(id), maxIDBytes)
	case isPrintable(id):
	case !utf8.ValidString(id):
		p.add(field, "%s", notUnicode)
	case strings.ContainsFunc(id, unicode.IsControl):
		p.add(field, "contains a control character")
	}
}

// isPrintable reports whether s is of the characters of ASCII that are no control
// characters, as nearly every identifier is.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// notUnicode is what is wrong with a text that no two readers need read alike.
const notUnicode = "is not Unicode text: it has half of a surrogate pair, such as \\ud83d"

func (p *problems) instant(field string, t Time, required bool) {
	switch {
	case t.IsZero() && required:
		p.add(field, "is missing")
	case t.IsZero():
	case t.Before(earliest) || !t.Before(latest):
		p.add(field, "%s is outside 1970 to 2199", t)
	}
}

func (p *problems) oneOf(field, value string, allowed []string, required bool) {
	if value == "" && !required {
		return
	}
	if value == "" {
		p.add(field, "is missing; it must be one of %s", strings.Join(allowed, ", "))
		return
	}
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	p.add(field, "%q is unknown; it must be one of %s", shorten(value), strings.Join(allowed, ", "))
}

func (p *problems) word(field, value string) {
	if value != "" && !isWord(value) {
		p.add(field, "%q must be a lower-case word of up to 64 of a-z 0-9 _ -", shorten(value))
	}
}

func (p *problems) short(field, value string) {
	if len(value) > maxShortTextBytes {
		p.add(field, "has %d bytes; the limit is %d", len(value), maxShortTextBytes)
	}
}

func (p *problems) attributes(m map[string]string) {
	if len(m) > maxAttributes {
		p.add("attributes", "has %d members; the limit is %d", len(m), maxAttributes)
	}
	for k, v := range m {
		if k == "" || len(k) > maxIDBytes {
			p.add("attributes", "a key must have 1 to %d bytes", maxIDBytes)
			return
		}
		if len(v) > maxAttributeBytes {
			p.add("attributes", "the value of %q has %d bytes; the limit is %d", shorten(k), len(v), maxAttributeBytes)
			return
		}
	}
}
