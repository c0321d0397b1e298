package schemas

import "bytes"

// LineRedaction carries a field policy out on rows. What it makes of a row is a function of the
// row, the policy and the key. It reads each byte once, and copies what no rule is about as it is:
// spelling, order and unknown members. It is for one goroutine.
type LineRedaction struct {
	root       *fieldNode
	pseudonyms *pseudonyms
	lineReader
	out []byte
}

// Append appends the row that line shows under the policy. An error says that line is no JSON
// object; nothing of its content is in it.
func (l *LineRedaction) Append(dst, line []byte) ([]byte, error) {
	l.in, l.out, l.at = line, dst, 0
	l.space()
	if l.peek() != '{' {
		return dst, l.broken("an object")
	}
	if err := l.object(l.root); err != nil {
		return dst, err
	}
	if err := l.ends(); err != nil {
		return dst, err
	}
	out := l.out
	l.in, l.out = nil, nil // keeps no row alive
	return out, nil
}

// object writes the members of an object that stay.
func (l *LineRedaction) object(n *fieldNode) error {
	return l.list('}', func() (bool, error) {
		l.space()
		quoted, err := l.text()
		if err != nil {
			return false, err
		}
		l.space()
		if l.peek() != ':' {
			return false, l.broken("a colon")
		}
		l.at++
		l.space()
		next, unknown := n.member(quoted)
		if unknown {
			return false, l.skip()
		}
		l.out = append(append(l.out, quoted...), ':')
		return l.value(next)
	})
}

// member is the node of a member, nil if no rule is about it. unknown says that it is to be left
// out because it is not known.
func (n *fieldNode) member(quoted []byte) (next *fieldNode, unknown bool) {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = []byte(unquote(quoted))
	}
	next = n.members[string(name)]
	if n.known != nil && next == nil {
		_, known := n.known[string(name)]
		unknown = !known
	}
	return next, unknown
}

// list writes a list or an object: what each writes of an element, unless it reports that the
// element does not stay.
func (l *LineRedaction) list(end byte, each func() (stays bool, err error)) error {
	l.out = append(l.out, l.peek())
	l.at++
	first := true
	if l.space(); l.peek() == end {
		l.at++
		l.out = append(l.out, end)
		return nil
	}
	for {
		before := len(l.out)
		if !first {
			l.out = append(l.out, ',')
		}
		stays, err := each()
		if err != nil {
			return err
		}
		if stays {
			first = false
		} else {
			l.out = l.out[:before]
		}
		l.space()
		switch c := l.peek(); c {
		case ',':
			l.at++
			l.space()
		case end:
			l.at++
			l.out = append(l.out, end)
			return nil
		default:
			return l.broken("a comma or the end of a list")
		}
	}
}

// value writes what a value shows, and reports whether it stays.
func (l *LineRedaction) value(n *fieldNode) (stays bool, err error) {
	switch {
	case n == nil:
		return true, l.copy()
	case n.rule.Action == FieldLeaveOut:
		return false, l.skip()
	}
	switch c := l.peek(); {
	case c == '[':
		return true, l.list(']', func() (bool, error) { l.space(); return l.value(n) })
	case n.rule.Action == "" && c == '{':
		return true, l.object(n)
	case n.rule.Action == "": // the rules are about members of an object, which it is not
		return true, l.copy()
	case c == '"':
		return true, l.replace(n.rule)
	case c == 'n': // null says nothing
		return true, l.copy()
	case n.rule.Action == FieldPseudonym && (c == '-' || '0' <= c && c <= '9'):
		return true, l.replace(n.rule)
	}
	return false, l.skip() // no text to cut short or to replace
}

// replace writes a text cut short, or the pseudonym of a text or a number.
func (l *LineRedaction) replace(rule FieldRule) error {
	begin := l.at
	if err := l.skip(); err != nil {
		return err
	}
	raw := l.in[begin:l.at]
	if rule.Action == FieldTruncate {
		l.out = append(append(l.out, raw[:truncated(raw, rule.Keep)]...), '"')
		return nil
	}
	if l.pseudonyms == nil {
		return errPseudonymsWithout
	}
	text := raw
	if raw[0] == '"' {
		if text = raw[1 : len(raw)-1]; bytes.IndexByte(text, '\\') >= 0 {
			text = []byte(unquote(raw))
		}
	}
	l.out = append(l.out, '"')
	if len(text) > 0 { // as PseudonymKey.Of
		l.out = l.pseudonyms.append(l.out, text)
	}
	l.out = append(l.out, '"')
	return nil
}

// truncated is where in a quoted text its first characters end.
func truncated(quoted []byte, keep int) int {
	at, end := 1, len(quoted)-1
	for range keep {
		if at >= end {
			break
		}
		if quoted[at] < 0x80 && quoted[at] != '\\' {
			at++
			continue
		}
		at += min(escapeLength(quoted[at:end]), end-at)
	}
	return at
}

func (l *LineRedaction) copy() error {
	begin := l.at
	err := l.skip()
	l.out = append(l.out, l.in[begin:l.at]...)
	return err
}
