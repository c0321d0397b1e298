package schemas

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Ours returns a line that has the other product's names, or both, with ours alone: what an
// export with both names was made of, or the nearest event to a record of theirs. Where both are
// there they must say the same. Members that neither has a name for stay as they are. What it
// returns is judged by DecodeInteraction or DecodeContact, and so is a line that is not a JSON object,
// which it returns as it is. Every error is a *MalformedError.
func (n *FieldNames) Ours(line []byte) ([]byte, error) {
	if !utf8.Valid(line) {
		return nil, errNotUTF8
	}
	if !jsontext.Value(line).IsValid(carryHalves, jsontext.AllowDuplicateNames(true)) {
		return line, nil
	}
	type member struct {
		quoted, value []byte
		theirs        int // its place among the names, or -1
	}
	var all []member
	ours := make([][]byte, len(n.list))
	var r lineReader
	err := r.members(line, func(quoted, value []byte) {
		name, m := nameIn(quoted), member{quoted, value, -1}
		switch i, theirs := n.place(name); {
		case theirs:
			m.theirs = i
		case i >= 0:
			ours[i] = value // of two the reader of events says that there are two
		case string(name) == "status" && isNumber(value):
			m.value = []byte(`"status-` + string(value) + `"`) // theirs are numbers, ours are words
		}
		all = append(all, m)
	})
	if err != nil {
		return line, nil //nolint:nilerr // no object: the reader of events says so
	}
	out := append(make([]byte, 0, len(line)), '{')
	for _, m := range all {
		if m.theirs >= 0 {
			name := n.list[m.theirs]
			value := name.read(m.value)
			if own := ours[m.theirs]; own != nil {
				if !name.alike(own, m.value) && !name.alike(own, value) {
					return nil, &MalformedError{CodeEvent, fmt.Sprintf("members %q and %q are one field and differ", name.Theirs, name.Ours)}
				}
				continue
			}
			m.quoted, m.value = []byte(`"`+name.Ours+`"`), value
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, m.quoted...), ':'), m.value...)
	}
	return append(out, '}'), nil
}

// read is a value of theirs as we spell it. What it does not know stays as it is, and the reader
// of events says what is wrong with it.
func (n FieldName) read(value []byte) []byte {
	text, isText := plainText(value)
	switch n.kind {
	case sameValue:
		if isNumber(value) {
			return quoted(value)
		}
	case directionValue, lowerValue:
		if isText {
			return quoted(bytes.ToLower(text))
		}
	case flagValue:
		if lower := string(bytes.ToLower(text)); lower == "true" || lower == "false" {
			return []byte(lower)
		}
	case numberValue:
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && isNumber(text) {
			return strconv.AppendInt(nil, n, 10) // JSON has no 007
		}
	case pairsValue:
		return textPairs(value)
	}
	return value
}

// textPairs is an object whose values are texts: numbers and flags become their spelling, and a
// null goes. Anything else is returned as it is.
func textPairs(value []byte) []byte {
	out := []byte{'{'}
	changed := false
	var r lineReader
	err := r.members(value, func(name, v []byte) {
		switch {
		case string(v) == "null":
			changed = true
			return
		case isNumber(v) || string(v) == "true" || string(v) == "false":
			v, changed = quoted(v), true
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), v...)
	})
	if err != nil || !changed {
		return value
	}
	return append(out, '}')
}

// alike reports whether a value of ours and one of theirs are the same.
func (n FieldName) alike(ours, theirs []byte) bool {
	if bytes.Equal(ours, theirs) || bytes.Equal(n.copied(ours), theirs) {
		return true
	}
	if len(ours) < 2 || len(theirs) < 2 || ours[0] != '"' || theirs[0] != '"' {
		return false
	}
	a, b := unquote(ours), unquote(theirs)
	if n.kind == timeValue {
		at, err := ParseTime(a)
		other, otherErr := ParseTime(b)
		return err == nil && otherErr == nil && at.Equal(other.Time)
	}
	return a == b
}

// plainText is the text of a value that has no escapes; false if it has some or is not text.
func plainText(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 {
		return nil, false
	}
	return value[1 : len(value)-1], true
}

func quoted(value []byte) []byte {
	return append(append([]byte{'"'}, value...), '"')
}

func isNumber(value []byte) bool {
	return len(value) > 0 && (isDigit(value[0]) || value[0] == '-') && strings.Trim(string(value), "+-.0123456789Ee") == ""
}
