package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is anything published to a topic: *Interaction, *Contact,
// *ExportRequest, *ExportStatus, *Job, *Certificate and others.
type Event interface {
	// Topic is where the event goes.
	Topic() Topic
	// Key orders the event among those of the same thing.
	Key() string
	// Type is the CloudEvents type, such as "cdds.interaction.v1".
	Type() string
	// ID is the CloudEvents id: the same for every publication of the same fact.
	ID() string
	// At is when the fact happened.
	At() Time
	// Validate reports every rule the event breaks, as one *InvalidError.
	Validate() error
}

// CloudEvents 1.0 Kafka binary binding: attributes travel as headers.
const (
	HeaderSpecVersion = "ce_specversion"
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderEventTime   = "ce_time"
	HeaderContentType = "content-type"
	SpecVersion       = "1.0"
	ContentTypeJSON   = "application/json"
)

// Codes of the ways a message can be unreadable: few and fixed, fit for a metric label.
const (
	CodeTooLarge = "too_large"
	CodeUTF8     = "invalid_utf8"
	CodeJSON     = "invalid_json"
	CodeEvent    = "invalid_event"
)

// MalformedError says why the bytes of a message are not an event.
type MalformedError struct {
	// Code is one of the Code constants.
	Code string
	// Reason is a sentence for people. It quotes field names and short values, never whole payloads.
	Reason string
}

func (e *MalformedError) Error() string { return e.Reason }

// Encode is the canonical JSON of an event: Go field order, map keys sorted, no
// HTML escaping, no line breaks. Equal events encode to equal bytes. An event that
// was read encodes to its Body, whose memory the result shares.
func Encode(e any) ([]byte, error) {
	// Through MarshalJSON, encoding/json would take blanks out of a Body, and check
	// every event once more.
	switch event := e.(type) {
	case *Interaction:
		if event.Body != nil {
			return event.Body, nil
		}
		e = (*plainInteraction)(event)
	case *Contact:
		if event.Body != nil {
			return event.Body, nil
		}
		e = (*plainContact)(event)
	case Attempt:
		return Encode(event.Versioned)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode %T: %w", e, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// DecodeInteraction reads and validates the value of a cdds.interactions message.
// Every error is a *MalformedError. The result, its texts included, may share b's memory:
// b must not change any more.
func DecodeInteraction(b []byte) (*Interaction, error) {
	return decodeInteraction(b, new(interactionPlaces))
}

// DecodeInteractionRow is DecodeInteraction for whoever stores the event as a row: Text
// and Notes, which have no column, may be empty. Body is whole.
func DecodeInteractionRow(b []byte) (*Interaction, error) {
	return decodeInteraction(b, &interactionPlaces{row: true})
}

func decodeInteraction(b []byte, into *interactionPlaces) (*Interaction, error) {
	body, sure := scan(b, into)
	if !sure {
		into.Interaction = Interaction{}
		var err error
		if body, err = interactionMembers.read(b, &into.Interaction); err != nil {
			return nil, err
		}
	}
	into.Body = body
	return validated(&into.Interaction)
}

// DecodeContact reads and validates the value of a cdds.contacts message.
// Every error is a *MalformedError. The result, its texts included, may share b's memory:
// b must not change any more.
func DecodeContact(b []byte) (*Contact, error) { return decodeContact(b, new(contactPlaces)) }

// DecodeContactRow is DecodeContact for whoever stores the event as a row: Notes, which
// have no column, may be empty. Body is whole.
func DecodeContactRow(b []byte) (*Contact, error) {
	return decodeContact(b, &contactPlaces{row: true})
}

func decodeContact(b []byte, into *contactPlaces) (*Contact, error) {
	body, sure := scan(b, into)
	if !sure {
		into.Contact = Contact{}
		var err error
		if body, err = contactMembers.read(b, &into.Contact); err != nil {
			return nil, err
		}
	}
	into.Body = body
	return validated(&into.Contact)
}

// DecodeExportStatus reads and validates the body of a cdds.export.status
// message. Every error is a *MalformedError.
func DecodeExportStatus(b []byte) (*ExportStatus, error) {
	s := new(ExportStatus)
	if err := readEvent(b, s); err != nil {
		return nil, err
	}
	return validated(s)
}

// DecodeExportRequest reads the body of a cdds.export.requests message without
// validating its content: a request that says who asks but asks for something
// impossible is refused with a status the asker can read, not dead-lettered. That goes
// for members that are unknown, misspelt, repeated or of a wrong type, too: Validate
// reports them. Only a request that cannot be answered at all (not JSON, no tenant_id
// and export_id beyond doubt) is a *MalformedError.
func DecodeExportRequest(b []byte) (*ExportRequest, error) {
	r := new(ExportRequest)
	err := readRequest(b, r)
	var malformed *MalformedError
	if errors.As(err, &malformed) && malformed.Code == CodeEvent {
		if ids := readIDs(b, malformed.Reason); ids != nil {
			r, err = ids, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if err := r.CheckIDs(); err != nil {
		return nil, &MalformedError{CodeEvent, err.Error()}
	}
	return r, nil
}

// readIDs returns a request of the ids alone, for one that cannot be read for a reason;
// nil if b does not state each id exactly once.
func readIDs(b []byte, reason string) *ExportRequest {
	anyNames := jsontext.AllowDuplicateNames(true)
	if v := jsontext.Value(b); v.Kind() != '{' || !v.IsValid(anyNames, carryHalves) {
		return nil
	}
	stated := map[string][]string{} // in whatever letter case
	d := jsontext.NewDecoder(bytes.NewReader(b), anyNames, carryHalves)
	err := each(d, '}', func() error {
		quoted, err := d.ReadValue()
		if err != nil {
			return err
		}
		name := unquote(quoted)
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if strings.EqualFold(name, "tenant_id") || strings.EqualFold(name, "export_id") {
			id := ""
			if value.Kind() == '"' {
				id = unquote(value)
			}
			stated[name] = append(stated[name], id)
		}
		return nil
	})
	tenants, exports := stated["tenant_id"], stated["export_id"]
	if err != nil || len(stated) != 2 || len(tenants) != 1 || len(exports) != 1 {
		return nil
	}
	return &ExportRequest{TenantID: tenants[0], ExportID: exports[0], unreadable: reason}
}

func validated[E Event](e E) (E, error) {
	if err := e.Validate(); err != nil {
		var none E
		return none, &MalformedError{CodeEvent, err.Error()}
	}
	return e, nil
}
