package schemas

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// scanner reads an event in one pass over its bytes: it makes no tokens and copies no
// text. It is right or unsure. It is sure only of what members.read would accept, and
// then fills in the same fields and returns the same body. Everything else (escaped names,
// line breaks, attachments, whatever is wrong) members.read reads, so that there is one
// place which refuses events and says why.
type scanner struct {
	b    []byte
	text string // b; fields are cut from it
	at   int
	// out is the body up to copied where a time was rewritten.
	out    []byte
	copied int
}

// placed is an event that says where its members are kept.
type placed interface {
	// place is where the member of a name is kept; false if the name is unknown.
	place(name []byte) (place, bool)
}

// place is where one member is kept: in the one place that is not nil. Without any it is
// checked and left out.
type place struct {
	number      uint // of the member among those of its event, below 64
	text        *string
	time        *Time
	optional    **Time // time is then where it points to
	list        *[]string
	pairs       *map[string]string
	attachments *[]Attachment
	flag        **bool
	// unsure says that members.read reads it.
	unsure bool
}

// scan fills an event from the JSON object b and returns its body: b on one line with its
// times in wire form. It is false if it is unsure; then the event may be half filled. The
// event's texts and the body share b's memory.
func scan(b []byte, into placed) (body []byte, sure bool) {
	if len(b) == 0 || len(b) > MaxEventBytes || !plain(b) {
		return nil, false
	}
	for len(b) > 1 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	for b[0] == ' ' && len(b) > 1 {
		b = b[1:]
	}
	s := scanner{b: b, text: unsafe.String(&b[0], len(b))}
	if !s.event(into) || s.at != len(b) {
		return nil, false
	}
	if s.out == nil {
		return b, true
	}
	return append(s.out, b[s.copied:]...), true
}

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// plain reports whether b is UTF-8 without control characters, line breaks included.
func plain(b []byte) bool {
	i, control, high := 0, uint64(0), uint64(0)
	for ; i+8 <= len(b); i += 8 { // eight bytes at once; see Bit Twiddling Hacks, "hasless"
		w := binary.LittleEndian.Uint64(b[i:])
		control |= (w - ' '*ones) & ^w
		high |= w
	}
	for _, c := range b[i:] {
		if c < ' ' {
			return false
		}
		high |= uint64(c)
	}
	return control&tops == 0 && (high&tops == 0 || utf8.Valid(b))
}

// special is where the first quote or backslash is at or after i, or the end.
func special(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^'"'*ones, w^'\\'*ones
		if found := ((quote-ones)&^quote | (backslash-ones)&^backslash) & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b) && b[i] != '"' && b[i] != '\\'; i++ {
	}
	return i
}

// peek is the next byte that is not a blank; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.b); s.at++ {
		if s.b[s.at] != ' ' {
			return s.b[s.at]
		}
	}
	return 0
}

// next goes past c if it is the next byte that is not a blank.
func (s *scanner) next(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// quoted goes past a text, and returns where its bytes begin and end between the quotes,
// and whether it has escapes.
func (s *scanner) quoted() (begin, end int, escaped, sure bool) {
	if !s.next('"') {
		return 0, 0, false, false
	}
	begin = s.at
	for {
		end = special(s.b, s.at)
		if end == len(s.b) {
			return 0, 0, false, false
		}
		if s.at = end + 1; s.b[end] == '"' {
			return begin, end, escaped, true
		}
		escaped = true
		if !s.escape() {
			return 0, 0, false, false
		}
	}
}

// escape goes past what follows the backslash of an escape.
func (s *scanner) escape() bool {
	if s.at == len(s.b) {
		return false
	}
	c := s.b[s.at]
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if s.at == len(s.b) || !isHex(s.b[s.at]) {
				return false
			}
			s.at++
		}
		return true
	}
	return false
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// name goes past a name and its colon. It is unsure of one with escapes.
func (s *scanner) name() (begin, end int, sure bool) {
	begin, end, escaped, sure := s.quoted()
	return begin, end, sure && !escaped && s.next(':')
}

// more goes past a comma, or past the end of what is listed.
func (s *scanner) more(end byte) (more, sure bool) {
	if s.next(',') {
		return true, true
	}
	return false, s.next(end)
}

func (s *scanner) event(into placed) bool {
	if !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	var seen uint64
	var others names
	for {
		begin, end, sure := s.name()
		if !sure {
			return false
		}
		name := s.b[begin:end]
		if p, known := into.place(name); known {
			if seen&(1<<p.number) != 0 || !s.member(p) {
				return false
			}
			seen |= 1 << p.number
		} else if mistakable(into, name) || !others.add(name) || !s.skip(0) {
			return false
		}
		if more, sure := s.more('}'); !more {
			return sure
		}
	}
}

// mistakable reports whether some reader might take an unknown name for a known one.
func mistakable(event placed, name []byte) bool {
	var lower [64]byte
	if len(name) > len(lower) {
		return true
	}
	for i, c := range name {
		if c >= utf8.RuneSelf {
			return true // a few letters fold to one of ASCII
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	_, known := event.place(lower[:len(name)])
	return known
}

// member fills in the value of a member.
func (s *scanner) member(p place) bool {
	c := s.peek()
	switch {
	case c == 'n':
		return s.word("null") // is absent
	case p.time != nil:
		return s.instant(p)
	case p.list != nil:
		return s.list(p.list)
	case p.pairs != nil:
		return s.pairs(p.pairs)
	case p.flag != nil:
		return s.flag(p.flag)
	case p.unsure:
		return false
	case p.attachments != nil:
		*p.attachments = []Attachment{}
		return s.next('[') && s.next(']')
	}
	begin, end, escaped, sure := s.quoted()
	if sure && p.text != nil {
		*p.text = s.cut(begin, end, escaped)
	}
	return sure
}

// cut is the text between two quotes.
func (s *scanner) cut(begin, end int, escaped bool) string {
	if escaped {
		return unquote(s.b[begin-1 : end+1])
	}
	return s.text[begin:end]
}

func (s *scanner) instant(p place) bool {
	begin, end, escaped, sure := s.quoted()
	if !sure || escaped {
		return false
	}
	var wire bool
	if *p.time, wire = wireTime(s.b[begin:end]); !wire {
		var err error
		if *p.time, err = ParseTime(s.text[begin:end]); err != nil {
			return false
		}
		s.out = append(s.out, s.b[s.copied:begin]...)
		s.out = append(s.out, p.time.String()...)
		s.copied = end
	}
	if p.optional != nil {
		*p.optional = p.time
	}
	return true
}

func (s *scanner) flag(into **bool) bool {
	*into = new(bool)
	if s.peek() == 't' {
		**into = true
		return s.word("true")
	}
	return s.word("false")
}

func (s *scanner) list(into *[]string) bool {
	*into = []string{}
	if !s.next('[') {
		return false
	}
	if s.next(']') {
		return true
	}
	for {
		begin, end, escaped, sure := s.quoted()
		if !sure {
			return false
		}
		*into = append(*into, s.cut(begin, end, escaped))
		if more, sure := s.more(']'); !more {
			return sure
		}
	}
}

func (s *scanner) pairs(into *map[string]string) bool {
	all := map[string]string{}
	*into = all
	if !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	for n := 1; ; n++ {
		begin, end, sure := s.name()
		if !sure {
			return false
		}
		from, to, escaped, sure := s.quoted()
		if !sure {
			return false
		}
		if all[s.text[begin:end]] = s.cut(from, to, escaped); len(all) != n {
			return false // a name twice
		}
		if more, sure := s.more('}'); !more {
			return sure
		}
	}
}
