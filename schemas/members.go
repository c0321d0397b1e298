package schemas

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An export carries each event as it was published: the same members in the same
// order with the same values, unknown ones included, so that producers may add
// fields before CDDS knows them. Only two things change: the event is put on one
// line, and its times take the wire form. Unmarshal alone could not do that (it
// drops unknown members), so one pass over the tokens fills the fields and finds
// the times. What it refuses, read.go says.

// members describes the members of one type.
type members struct {
	known map[string]member
	// longest is the length of the longest known name.
	longest int
}

// member is a field of the type that is known by name.
type member struct {
	name  string
	index []int
	kind  memberKind
	typ   reflect.Type
}

type memberKind int

const (
	textMember memberKind = iota
	timeMember
	optionalTimeMember
	// otherMember is anything else: lists, maps.
	otherMember
)

func membersOf(t reflect.Type) members {
	m := members{known: map[string]member{}}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || name == "" && field.Anonymous { // the fields of that are listed, too
			continue
		}
		if name == "" {
			name = field.Name
		}
		kind := otherMember
		switch {
		case field.Type.Kind() == reflect.String:
			kind = textMember
		case field.Type == reflect.TypeFor[Time]():
			kind = timeMember
		case field.Type == reflect.TypeFor[*Time]():
			kind = optionalTimeMember
		}
		m.known[name] = member{name, field.Index, kind, field.Type}
		m.longest = max(m.longest, len(name))
	}
	return m
}

// reader is a token reader with the buffer it reads from.
type reader struct {
	buffer *bytes.Buffer
	tokens *jsontext.Decoder
}

// readers are reused: each carries the state of nesting and names.
var readers = sync.Pool{New: func() any {
	return &reader{new(bytes.Buffer), jsontext.NewDecoder(strings.NewReader(""))}
}}

// read fills the struct that into points to from the JSON object b, and returns b
// on one line with its times in wire form. The fields of into share one copy of b,
// the result may share b's memory. Every error is a *MalformedError.
func (m members) read(b []byte, into any) ([]byte, error) {
	if err := checkBytes(b); err != nil {
		return nil, err
	}
	if bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0 {
		var line bytes.Buffer
		if err := stdjson.Compact(&line, b); err != nil {
			return nil, &MalformedError{CodeJSON, "the message is not valid JSON: " + err.Error()}
		}
		b = line.Bytes()
	}
	b = bytes.Trim(b, " \t")

	r := readers.Get().(*reader)
	defer func() {
		*r.buffer = bytes.Buffer{} // keeps no message alive
		readers.Put(r)
	}()
	*r.buffer = *bytes.NewBuffer(b)
	r.tokens.Reset(r.buffer, carryHalves)

	body, err := m.object(r.tokens, b, reflect.ValueOf(into).Elem())
	if err != nil {
		return nil, malformed(b, err)
	}
	return body, nil
}

func (m members) object(d *jsontext.Decoder, b []byte, into reflect.Value) ([]byte, error) {
	if kind := d.PeekKind(); kind != '{' {
		if err := d.SkipValue(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the message must be a JSON object, not %s", kindNames[kind])
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	text := string(b) // shared by all fields
	var out []byte
	copied := 0
	for d.PeekKind() != '}' {
		quoted, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		known, ok := m.known[string(quoted[1:len(quoted)-1])]
		if !ok {
			if known, ok, err = m.find(quoted); err != nil {
				return nil, &memberError{d.StackPointer(), err.Error()}
			}
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		end := int(d.InputOffset())
		begin := end - len(value)
		field := into.FieldByIndex(known.index)
		if err := known.set(field, value, text[begin:end]); err != nil {
			return nil, err
		}
		if (known.kind == timeMember || known.kind == optionalTimeMember) && value[0] == '"' && !wireForm(value[1:len(value)-1]) {
			out = append(append(out, b[copied:begin]...), '"')
			out = append(append(out, known.time(field).String()...), '"')
			copied = end
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if d.PeekKind() != 0 {
		return nil, errTrailing
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, err
	}
	if out == nil {
		return b, nil
	}
	return append(out, b[copied:]...), nil
}

var errTrailing = &jsontext.SyntacticError{Err: errors.New("there is more after top-level value")}

// find returns the member that a quoted name stands for, also if it is written with
// escapes. It refuses what some reader would take for a known member although it is
// written otherwise. Letters that Unicode folds together count as equal: "ſ" (long s)
// stands for "s".
func (m members) find(quoted []byte) (member, bool, error) {
	if len(quoted) > 6*m.longest+2 { // even if every letter were escaped
		return member{}, false, nil
	}
	name := unquote(quoted)
	if known, ok := m.known[name]; ok {
		return known, true, nil
	}
	for known := range m.known {
		if strings.EqualFold(name, known) {
			return member{}, false, fmt.Errorf("must be written %q", known)
		}
	}
	return member{}, false, nil
}

// set stores a JSON value, of which text is a copy that may be kept.
func (m member) set(field reflect.Value, value jsontext.Value, text string) error {
	var err error
	switch kind := value.Kind(); {
	case kind == 'n': // null is absent
	case m.kind == textMember && kind == '"':
		if strings.IndexByte(text, '\\') < 0 {
			field.SetString(text[1 : len(text)-1])
		} else {
			field.SetString(unquote(value))
		}
	case m.kind == timeMember:
		err = field.Addr().Interface().(*Time).UnmarshalJSON(value)
	case m.kind == optionalTimeMember:
		t := new(Time)
		field.Set(reflect.ValueOf(t))
		err = t.UnmarshalJSON(value)
	case m.kind == otherMember:
		return within(m.pointer(), reading{halves: true}.into(value, field.Addr().Interface()))
	default:
		return &memberError{m.pointer(), "must not be a JSON " + kindNames[kind]}
	}
	if err != nil {
		return &memberError{m.pointer(), "is wrong: " + err.Error()}
	}
	return nil
}

func (m member) pointer() jsontext.Pointer { return jsontext.Pointer("").AppendToken(m.name) }

// within names the place of an error in the whole message, of which what is at the pointer was
// read.
func within(at jsontext.Pointer, err error) error {
	if err == nil {
		return nil
	}
	var named *memberError
	var wrong *json.SemanticError
	if errors.As(err, &wrong) {
		named = wrongValue(wrong)
	} else if !errors.As(err, &named) {
		return err
	}
	return &memberError{at + named.at, named.problem}
}

func (m member) time(field reflect.Value) Time {
	if m.kind == optionalTimeMember {
		return *field.Interface().(*Time)
	}
	return field.Interface().(Time)
}

// unquote returns the text of a valid JSON string. Half of a surrogate pair, such as a
// text cut within an emoji has, is no Unicode: it is kept as three bytes that are not
// valid UTF-8, so that texts that differ stay different, and none equals a valid one.
// Validate refuses it where it would do harm.
func unquote(quoted []byte) string {
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err == nil {
		return string(text)
	}
	text = text[:0]
	for rest := quoted[1 : len(quoted)-1]; len(rest) > 0; {
		n := escapeLength(rest)
		half := escapedUnit(rest)
		if n == 6 && utf16.IsSurrogate(half) {
			text = append(text, 0xE0|byte(half>>12), 0x80|byte(half>>6)&0xBF, 0x80|byte(half)&0xBF)
		} else {
			text, _ = jsontext.AppendUnquote(text, []byte(`"`+string(rest[:n])+`"`)) // valid, as the whole is
		}
		rest = rest[n:]
	}
	return string(text)
}

// escapeLength is the length of the character, escape or pair of escapes s begins with.
func escapeLength(s []byte) int {
	unit := escapedUnit(s)
	switch {
	case s[0] != '\\':
		_, n := utf8.DecodeRune(s)
		return n
	case unit < 0:
		return 2
	case len(s) > 6 && utf16.DecodeRune(unit, escapedUnit(s[6:])) != utf8.RuneError:
		return 12
	}
	return 6
}

// escapedUnit is the UTF-16 unit of the escape \uXXXX that s begins with, or -1.
func escapedUnit(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
