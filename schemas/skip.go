package schemas

// maxNested is how deep the values of unknown members are followed.
const maxNested = 32

// skip goes past a value of an unknown member.
func (s *scanner) skip(depth int) bool {
	switch s.peek() {
	case '"':
		_, _, _, sure := s.quoted()
		return sure
	case '{':
		return depth < maxNested && s.skipObject(depth+1)
	case '[':
		return depth < maxNested && s.skipList(depth+1)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) skipObject(depth int) bool {
	s.at++
	if s.next('}') {
		return true
	}
	var all names
	for {
		begin, end, sure := s.name()
		if !sure || !all.add(s.b[begin:end]) || !s.skip(depth) {
			return false
		}
		if more, sure := s.more('}'); !more {
			return sure
		}
	}
}

func (s *scanner) skipList(depth int) bool {
	s.at++
	if s.next(']') {
		return true
	}
	for {
		if !s.skip(depth) {
			return false
		}
		if more, sure := s.more(']'); !more {
			return sure
		}
	}
}

// word goes past a literal.
func (s *scanner) word(w string) bool {
	if len(s.b)-s.at < len(w) || s.text[s.at:s.at+len(w)] != w {
		return false
	}
	s.at += len(w)
	return true
}

// number goes past a number, as RFC 8259 writes them.
func (s *scanner) number() bool {
	if s.at < len(s.b) && s.b[s.at] == '-' {
		s.at++
	}
	zero := s.at < len(s.b) && s.b[s.at] == '0'
	if n := s.digits(); n == 0 || zero && n > 1 {
		return false
	}
	if s.at < len(s.b) && s.b[s.at] == '.' {
		s.at++
		if s.digits() == 0 {
			return false
		}
	}
	if s.at < len(s.b) && s.b[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.b) && (s.b[s.at] == '+' || s.b[s.at] == '-') {
			s.at++
		}
		return s.digits() > 0
	}
	return true
}

// digits goes past digits and counts them.
func (s *scanner) digits() (n int) {
	for ; s.at < len(s.b) && isDigit(s.b[s.at]); s.at++ {
		n++
	}
	return n
}

// names are those of one object, few enough to be compared each with each.
type names struct {
	list [16][]byte
	n    int
}

// add is false for a name that is there, and for one too many.
func (n *names) add(name []byte) bool {
	if n.n == len(n.list) {
		return false
	}
	for _, other := range n.list[:n.n] {
		if string(other) == string(name) {
			return false
		}
	}
	n.list[n.n] = name
	n.n++
	return true
}
