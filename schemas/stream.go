package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxManifestBytes bounds a manifest, and a plan, in bytes: one of MaxParts parts with the longest names is smaller.
const MaxManifestBytes = 256 << 20

// WriteManifest writes a manifest with these parts, byte for byte as Encode would if it held
// them. What m itself lists as parts does not count.
func WriteManifest(w io.Writer, m Manifest, parts iter.Seq[Receipt]) error {
	m.Parts = nil
	return writeList(w, m, "parts", parts)
}

// writeList writes a document and, where its member is null, a list whose items it writes one
// after the other.
func writeList[T any](w io.Writer, document any, member string, items iter.Seq[T]) error {
	content, err := Encode(document)
	if err != nil {
		return err
	}
	null := []byte(`"` + member + `":null`) // quotes within a text are escaped
	at := bytes.LastIndex(content, null)
	if at < 0 {
		return fmt.Errorf("encode %T: it has a list of %s already", document, member)
	}
	head, tail := content[:at+len(null)-len("null")], content[at+len(null):]
	if _, err := w.Write(append(slices.Clip(head), '[')); err != nil {
		return err
	}
	separator := []byte(nil)
	for item := range items {
		b, err := Encode(item)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(separator, b...)); err != nil {
			return err
		}
		separator = append(separator[:0], ',')
	}
	_, err = w.Write(append([]byte{']'}, tail...))
	return err
}

// ReadManifest reads a manifest by the rules of Read, and gives each its parts one after the
// other instead of holding them. It ends with the error of each. If each is nil, of the parts only
// their syntax is read. It does not check what the manifest says; DecodeManifest does.
func ReadManifest(r io.Reader, each func(Receipt) error) (*Manifest, error) {
	m := new(Manifest)
	if err := readList(r, m, "parts", each); err != nil {
		return nil, err
	}
	return m, nil
}

// WritePlan writes a plan as Encode would, one part after the other.
func WritePlan(w io.Writer, p Plan) error {
	parts := p.Parts
	p.Parts = nil
	return writeList(w, p, "parts", slices.Values(parts))
}

// ReadPlan reads a plan by the rules of Read, and holds nothing but the plan.
func ReadPlan(r io.Reader) (p Plan, err error) {
	var parts []PlannedPart
	err = readList(r, &p, "parts", func(part PlannedPart) error { parts = append(parts, part); return nil })
	p.Parts = parts
	return p, err
}

// readList reads a document and gives each the items of the list that is its member, one after
// the other.
func readList[T any](r io.Reader, document any, member string, each func(T) error) error {
	d := jsontext.NewDecoder(r)
	if d.PeekKind() != '{' {
		return readShort(d, document)
	}
	// The rest of the document is read as one that has no such list.
	rest, separator := []byte{'{'}, []byte(nil)
	if _, err := d.ReadToken(); err != nil {
		return streamError(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return streamError(err)
		}
		plain, err := jsontext.AppendUnquote(nil, name)
		if err != nil {
			return streamError(err)
		}
		if string(plain) == member {
			if err := readItems(d, member, each); err != nil {
				return err
			}
			continue
		}
		rest = append(append(append(rest, separator...), name...), ':')
		value, err := d.ReadValue()
		if err != nil {
			return streamError(err)
		}
		rest, separator = append(rest, value...), []byte{','}
	}
	if _, err := d.ReadToken(); err != nil {
		return streamError(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			return &MalformedError{CodeJSON, "the message is not valid JSON: something follows it"}
		}
		return streamError(err)
	}
	return Read(append(rest, '}'), document)
}

// readShort reads a document that is not an object, for the error to say what it is.
func readShort(d *jsontext.Decoder, document any) error {
	value, err := d.ReadValue()
	if err != nil {
		return streamError(err)
	}
	return Read(value, document)
}

func readItems[T any](d *jsontext.Decoder, member string, each func(T) error) error {
	if d.PeekKind() == 'n' {
		_, err := d.ReadToken()
		return streamError(err)
	}
	if kind := d.PeekKind(); kind != '[' && kindNames[kind] != "" {
		return &MalformedError{CodeEvent, fmt.Sprintf("member %q must not be a JSON %s", "/"+member, kindNames[kind])}
	}
	if _, err := d.ReadToken(); err != nil {
		return streamError(err)
	}
	for n := 0; d.PeekKind() != ']'; n++ {
		value, err := d.ReadValue()
		if err != nil {
			return streamError(err)
		}
		if each == nil {
			continue
		}
		var item T
		if err := (reading{}).into(value, &item); err != nil {
			return malformed(value, within(jsontext.Pointer("").AppendToken(member).AppendToken(strconv.Itoa(n)), err))
		}
		if err := each(item); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return streamError(err)
}

// streamError says what is wrong with a document that is read as it comes. Errors of its
// reader stay what they are: a connection that broke off says nothing about the document.
func streamError(err error) error {
	if errors.As(err, new(*jsontext.SyntacticError)) || errors.Is(err, io.EOF) {
		return malformed(nil, err)
	}
	return err
}
