package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// An export carries each event as it was published: the same members in the same
// order with the same values, unknown ones included, so that producers may add
// fields before CDDS knows them. Only two things change: the event is put on one
// line, and its times take the wire form. encoding/json alone could not do that
// (it drops unknown members, matches names in any letter case and lets the last
// of two equal names win), hence this small scanner.

// members describes the top-level members of one kind of event.
type members struct {
	known map[string]bool
	times map[string]bool
	// longest is the length of the longest known name.
	longest int
}

func membersOf(v any) members {
	m := members{known: map[string]bool{}, times: map[string]bool{}}
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		m.known[name] = true
		m.longest = max(m.longest, len(name))
		if field.Type == reflect.TypeFor[Time]() || field.Type == reflect.TypeFor[*Time]() {
			m.times[name] = true
		}
	}
	return m
}

// body returns the valid JSON object b on one line with its times in wire form. It
// refuses an object in which a name appears twice, or differs from a known one
// only in letter case: two readers could take it for two different events. The
// result may share b's memory.
func (m members) body(b []byte) ([]byte, error) {
	if bytes.ContainsAny(b, "\n\r") {
		var line bytes.Buffer
		if err := json.Compact(&line, b); err != nil {
			return nil, err
		}
		b = line.Bytes()
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return nil, fmt.Errorf("the message must be a JSON object")
	}
	var seen nameSet
	var out []byte
	copied := 0
	for i := 1; i < len(b); {
		open := bytes.IndexByte(b[i:], '"')
		if open < 0 {
			break
		}
		start := i + open
		end := stringEnd(b, start)
		name := nameOf(b[start:end])
		if !seen.add(name) {
			return nil, fmt.Errorf("field %q appears twice", shorten(name))
		}
		if err := m.checkCase(name); err != nil {
			return nil, err
		}
		value, next := valueSpan(b, end)
		if m.times[name] && b[value] == '"' && !wireForm(b[value+1:next-1]) {
			var t Time
			if err := json.Unmarshal(b[value:next], &t); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if wire := t.String(); wire != string(b[value+1:next-1]) {
				out = append(out, b[copied:value+1]...)
				out = append(out, wire...)
				copied = next - 1
			}
		}
		i = next
	}
	if out == nil {
		return b, nil
	}
	return append(out, b[copied:]...), nil
}

// checkCase refuses what encoding/json would take for a known member although it
// is written otherwise. Like there, letters that Unicode folds together count as
// equal: "ſ" (long s) stands for "s".
func (m members) checkCase(name string) error {
	if m.known[name] || len(name) > 3*m.longest {
		return nil
	}
	for known := range m.known {
		if strings.EqualFold(name, known) {
			return fmt.Errorf("field %q must be written %q", shorten(name), known)
		}
	}
	return nil
}

// nameSet holds the names seen in one object: few in a slice, which costs nothing,
// many in a map, because a message of half a million names must not take half a
// million squared comparisons.
type nameSet struct {
	room [32]string
	few  int
	many map[string]bool
}

// add reports whether name is new.
func (s *nameSet) add(name string) bool {
	if slices.Contains(s.room[:s.few], name) || s.many[name] {
		return false
	}
	if s.few < len(s.room) {
		s.room[s.few] = name
		s.few++
		return true
	}
	if s.many == nil {
		s.many = map[string]bool{}
	}
	s.many[name] = true
	return true
}

// valueSpan returns where the value after the colon at or past i begins and ends
// in valid JSON.
func valueSpan(b []byte, i int) (start, end int) {
	for b[i] == ' ' || b[i] == '\t' || b[i] == ':' {
		i++
	}
	start = i
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
			if depth == 0 {
				return start, i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return start, i
			}
			if depth == 0 {
				return start, i + 1
			}
		case ',':
			if depth == 0 {
				return start, i
			}
		}
		i++
	}
	return start, i
}

// stringEnd returns the index just past the closing quote of the JSON string
// that opens at b[start].
func stringEnd(b []byte, start int) int {
	for i := start + 1; i < len(b); {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			break
		}
		quote := i + j
		slashes := 0
		for quote-1-slashes > start && b[quote-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return quote + 1
		}
		i = quote + 1
	}
	return len(b)
}

func nameOf(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(quoted)
	}
	return s
}
