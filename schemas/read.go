package schemas

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Everything that CDDS reads goes through this file or members.go, which reads events
// by the same rules; scan.go spares members.go those of which it is sure. Two readers that disagree about one document are two documents:
// ingest once stored what an export then could not read, and an erasure removed another
// contact. So nothing that two readers could take for two different things is read:
//
//   - a member that appears twice,
//   - a member that differs from a known one only in letter case,
//   - text that is not Unicode: invalid UTF-8, half of a surrogate pair,
//   - anything after the document.

// Read reads the JSON document b into what into points to, of which nothing else is left. It ignores members that it
// does not know, so that a release reads what the next one writes. Every error is a
// *MalformedError that names the member as a JSON Pointer (RFC 6901).
func Read(b []byte, into any) error { return readDocument(b, into, reading{}) }

// ReadKnown is Read for requests and definitions. It refuses members that it does not
// know: "media_type" for "media_types" would export every medium.
func ReadKnown(b []byte, into any) error { return readDocument(b, into, reading{known: true}) }

func readDocument(b []byte, into any, how reading) error {
	if !utf8.Valid(b) {
		return errNotUTF8
	}
	if err := how.into(b, into); err != nil {
		return malformed(b, err)
	}
	return nil
}

// StoredAttachments returns the key of an interaction that ingest stored, and its
// attachments as ingest read them. It judges nothing: what is stored was accepted, and
// an export must not fail over it.
func StoredAttachments(body []byte) (RowKey, []Attachment, error) {
	type stored struct {
		ID          string       `json:"interaction_id"`
		StartedAt   Time         `json:"started_at"`
		Attachments []Attachment `json:"attachments"`
	}
	var i stored
	if json.Unmarshal(body, &i) != nil { // perhaps text that is not Unicode
		i = stored{}
		if err := json.Unmarshal(body, &i, readHalves); err != nil {
			return RowKey{}, nil, fmt.Errorf("a stored interaction is not readable: %w", malformed(body, err))
		}
	}
	return RowKey{i.StartedAt, i.ID}, i.Attachments, nil
}

// StoredInteraction reads an interaction that was accepted once, perhaps by a later
// version, for the columns of a table. It judges nothing and leaves Body empty; text that
// is not Unicode has U+FFFD in its place.
func StoredInteraction(body []byte) (*Interaction, error) {
	var i plainInteraction
	if err := json.Unmarshal(body, &i, carryHalves); err != nil {
		return nil, fmt.Errorf("an interaction is not readable: %w", malformed(body, err))
	}
	return (*Interaction)(&i), nil
}

// StoredContact is StoredInteraction of a contact.
func StoredContact(body []byte) (*Contact, error) {
	var c plainContact
	if err := json.Unmarshal(body, &c, carryHalves); err != nil {
		return nil, fmt.Errorf("a contact is not readable: %w", malformed(body, err))
	}
	return (*Contact)(&c), nil
}

// readEvent is Read of an event, whose size is limited.
func readEvent(b []byte, into any) error {
	if err := checkBytes(b); err != nil {
		return err
	}
	return Read(b, into)
}

// readDefinition is ReadKnown of a definition, which is smaller than an event.
func readDefinition(b []byte, into any) error {
	if len(b) > MaxDefinitionBytes {
		return &MalformedError{CodeTooLarge, fmt.Sprintf("the message has %d bytes; the limit is %d", len(b), MaxDefinitionBytes)}
	}
	return ReadKnown(b, into)
}

// readRequest is readDefinition of what may be longer, as it may list many people.
func readRequest(b []byte, into any) error {
	if len(b) > MaxRequestBytes {
		return &MalformedError{CodeTooLarge, fmt.Sprintf("the request has %d bytes; the limit is %d", len(b), MaxRequestBytes)}
	}
	return ReadKnown(b, into)
}

var errNotUTF8 = &MalformedError{CodeUTF8, "the message is not valid UTF-8"}

// checkBytes refuses what is too large or not text at all.
func checkBytes(b []byte) error {
	if len(b) > MaxEventBytes {
		return &MalformedError{CodeTooLarge, fmt.Sprintf("the message has %d bytes; the limit is %d", len(b), MaxEventBytes)}
	}
	// Some readers of JSON replace invalid UTF-8 silently, and the receiver would get a
	// text nobody wrote.
	if !utf8.Valid(b) {
		return errNotUTF8
	}
	return nil
}

// reading is how strictly a document is read.
type reading struct {
	// known refuses members that are not known.
	known bool
	// halves reads half of a surrogate pair as such instead of refusing it; see unquote.
	halves bool
}

// carryHalves makes jsontext take escaped halves of surrogate pairs, such as a text cut
// within an emoji leaves. Raw bytes are checked before.
var carryHalves = jsontext.AllowInvalidUTF8(true)

// readHalves keeps texts apart that jsontext would read alike, as U+FFFD.
var readHalves = json.JoinOptions(carryHalves, json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, s *string) error {
	if d.PeekKind() != '"' {
		return errors.ErrUnsupported // let json say what is wrong
	}
	quoted, err := d.ReadValue()
	if err == nil {
		*s = unquote(quoted)
	}
	return err
})))

func (how reading) options() json.Options {
	if how.halves {
		return readHalves
	}
	return json.JoinOptions()
}

// into reads b into what v points to. Nearly every document has known members only; it
// is read once. In any other each name is looked at.
func (how reading) into(b []byte, v any) error {
	value := reflect.ValueOf(v).Elem()
	value.SetZero()
	if json.Unmarshal(b, v, json.RejectUnknownMembers(true)) == nil && jsontext.Value(b).Kind() != 'n' {
		return nil
	}
	if err := how.names(b, value.Type()); err != nil {
		return err
	}
	value.SetZero()
	return json.Unmarshal(b, v, how.options())
}

// names checks the names of all members of b that a value of type t has a place for.
func (how reading) names(b []byte, t reflect.Type) error {
	d := jsontext.NewDecoder(bytes.NewReader(b), how.options())
	if kind := d.PeekKind(); t.Kind() == reflect.Struct && kind != '{' && kindNames[kind] != "" {
		return fmt.Errorf("the message must be a JSON object, not %s", kindNames[kind])
	}
	return how.namesIn(d, t)
}

func (how reading) namesIn(d *jsontext.Decoder, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if readsItself(t) {
		return d.SkipValue()
	}
	switch kind := d.PeekKind(); {
	case kind == '{' && t.Kind() == reflect.Struct:
		return how.namesOf(d, cachedMembers(t))
	case kind == '{' && t.Kind() == reflect.Map:
		return each(d, '}', func() error {
			if err := d.SkipValue(); err != nil {
				return err
			}
			return how.namesIn(d, t.Elem())
		})
	case kind == '[' && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array):
		return each(d, ']', func() error { return how.namesIn(d, t.Elem()) })
	}
	return d.SkipValue()
}

func (how reading) namesOf(d *jsontext.Decoder, m members) error {
	return each(d, '}', func() error {
		quoted, err := d.ReadValue()
		if err != nil {
			return err
		}
		member, known, err := m.find(quoted)
		switch {
		case err != nil:
			return &memberError{d.StackPointer(), err.Error()}
		case known:
			return how.namesIn(d, member.typ)
		case how.known:
			return &memberError{d.StackPointer(), "is unknown"}
		}
		return d.SkipValue()
	})
}

// each calls do for every member of an object or every element of a list.
func each(d *jsontext.Decoder, end jsontext.Kind, do func() error) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != end {
		if err := do(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// readsItself reports whether a type decides how it is read, as Time does.
func readsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[json.UnmarshalerFrom]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

var membersByType sync.Map // of reflect.Type to members

func cachedMembers(t reflect.Type) members {
	if m, ok := membersByType.Load(t); ok {
		return m.(members)
	}
	m := membersOf(t)
	membersByType.Store(t, m)
	return m
}

// memberError says what is wrong with a member.
type memberError struct {
	at      jsontext.Pointer
	problem string
}

func (e *memberError) Error() string {
	if e.at == "" {
		return "the message " + e.problem
	}
	return fmt.Sprintf("member %q %s", shorten(string(e.at)), e.problem)
}

var kindNames = map[jsontext.Kind]string{'n': "null", 't': "bool", 'f': "bool", '"': "string", '0': "number", '{': "object", '[': "array"}

// malformed says what is wrong with b in the terms of whoever wrote it.
func malformed(b []byte, err error) *MalformedError {
	var told *MalformedError
	var syntax *jsontext.SyntacticError
	var wrong *json.SemanticError
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return &MalformedError{CodeEvent, (&memberError{syntax.JSONPointer, "appears twice"}).Error()}
	case errors.As(err, &syntax) && jsontext.Value(b).IsValid(carryHalves, jsontext.AllowDuplicateNames(true)):
		return &MalformedError{CodeEvent, (&memberError{syntax.JSONPointer, notUnicode}).Error()}
	case errors.As(err, &syntax):
		return &MalformedError{CodeJSON, fmt.Sprintf("the message is not valid JSON: %v (at byte %d)", syntax.Err, syntax.ByteOffset)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &MalformedError{CodeJSON, "the message is not valid JSON: it ends before it is complete"}
	case errors.As(err, &wrong):
		return &MalformedError{CodeEvent, wrongValue(wrong).Error()}
	}
	return &MalformedError{CodeEvent, err.Error()}
}

// wrongValue says which member has a value of another type than it must have.
func wrongValue(wrong *json.SemanticError) *memberError {
	problem := "must not be a JSON " + kindNames[wrong.JSONKind]
	if wrong.Err != nil {
		problem = "is wrong: " + wrong.Err.Error()
	}
	return &memberError{wrong.JSONPointer, problem}
}
