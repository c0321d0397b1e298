package schemas

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An export carries each event as it was published: the same members in the same
// order with the same values, unknown ones included, so that producers may add
// fields before CDDS knows them. Only two things change: the event is put on one
// line, and its times take the wire form. Unmarshal alone could not do that (it
// drops unknown members), so one pass over the tokens fills the fields and finds
// the times. It refuses an object in which a name appears twice, or differs from a
// known one only in letter case: two readers could take it for two different events.

// members describes the top-level members of one kind of event.
type members struct {
	known map[string]member
	// longest is the length of the longest known name.
	longest int
}

// member is a field of the event's type that is known by name.
type member struct {
	name  string
	index int
	kind  memberKind
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
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
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
		m.known[name] = member{name, i, kind}
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

// An escaped lone surrogate, such as a text cut within an emoji leaves, is the
// producer's and carried on as it is; raw bytes were checked before.
var carryLoneSurrogates = jsontext.AllowInvalidUTF8(true)

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
	r.tokens.Reset(r.buffer, carryLoneSurrogates)

	body, err := m.object(r.tokens, b, reflect.ValueOf(into).Elem())
	if err != nil {
		return nil, malformed(err)
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
			if known, ok, err = m.unusual(quoted); err != nil {
				return nil, err
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
		if err := known.set(into.Field(known.index), value, text[begin:end]); err != nil {
			return nil, fmt.Errorf("field %q %w", known.name, err)
		}
		if known.kind != otherMember && known.kind != textMember && value[0] == '"' && !wireForm(value[1:len(value)-1]) {
			out = append(append(out, b[copied:begin]...), '"')
			out = append(append(out, known.time(into.Field(known.index)).String()...), '"')
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

// unusual finds what a quoted name that is not literally a known one stands for:
// one written with escapes, or none. It refuses what some reader would take for a
// known member although it is written otherwise. Letters that Unicode folds
// together count as equal: "ſ" (long s) stands for "s".
func (m members) unusual(quoted []byte) (member, bool, error) {
	if len(quoted) > 6*m.longest+2 { // even if every letter were escaped
		return member{}, false, nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return member{}, false, err
	}
	name := string(unquoted)
	if known, ok := m.known[name]; ok {
		return known, true, nil
	}
	for known := range m.known {
		if strings.EqualFold(name, known) {
			return member{}, false, fmt.Errorf("field %q must be written %q", shorten(name), known)
		}
	}
	return member{}, false, nil
}

// set stores a JSON value, of which text is a copy that may be kept.
func (m member) set(field reflect.Value, value jsontext.Value, text string) error {
	kind := value.Kind()
	switch {
	case kind == 'n': // null is absent
		return nil
	case m.kind == textMember && kind == '"':
		if strings.IndexByte(text, '\\') < 0 {
			field.SetString(text[1 : len(text)-1])
			return nil
		}
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil && !utf8.Valid(unquoted) { // a lone surrogate became U+FFFD
			return fmt.Errorf("is no text: %w", err)
		}
		field.SetString(string(unquoted))
		return nil
	case m.kind == timeMember:
		return field.Addr().Interface().(*Time).UnmarshalJSON(value)
	case m.kind == optionalTimeMember:
		t := new(Time)
		field.Set(reflect.ValueOf(t))
		return t.UnmarshalJSON(value)
	case m.kind == otherMember:
		if err := json.Unmarshal(value, field.Addr().Interface(), carryLoneSurrogates); err != nil {
			var wrong *json.SemanticError
			if errors.As(err, &wrong) && wrong.JSONKind != 0 {
				return fmt.Errorf("must not have a JSON %s at %q", kindNames[wrong.JSONKind], shorten(string(wrong.JSONPointer)))
			}
			return err
		}
		return nil
	}
	return fmt.Errorf("must not be a JSON %s", kindNames[kind])
}

func (m member) time(field reflect.Value) Time {
	if m.kind == optionalTimeMember {
		return *field.Interface().(*Time)
	}
	return field.Interface().(Time)
}

var kindNames = map[jsontext.Kind]string{'n': "null", 't': "bool", 'f': "bool", '"': "string", '0': "number", '{': "object", '[': "array"}

// malformed says what is wrong in the terms of whoever published the message.
func malformed(err error) *MalformedError {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return &MalformedError{CodeEvent, fmt.Sprintf("field %q appears twice", shorten(syntax.JSONPointer.LastToken()))}
	case errors.As(err, &syntax):
		return &MalformedError{CodeJSON, fmt.Sprintf("the message is not valid JSON: %v (at byte %d)", syntax.Err, syntax.ByteOffset)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &MalformedError{CodeJSON, "the message is not valid JSON: it ends before it is complete"}
	}
	return &MalformedError{CodeEvent, err.Error()}
}
