package pages

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"cdds/schemas"
)

// line is a line of a file.
type line struct {
	offset int64
	text   []byte // without its newline; it holds until the next one is read
}

// lines reads the lines of a file. It ends with the first error.
func lines(r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		from := bufio.NewReaderSize(r, 256<<10)
		var offset int64
		var long []byte
		for {
			piece, err := from.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				long = append(long, piece...)
				continue
			}
			if len(long) > 0 {
				long = append(long, piece...)
				piece = long
			}
			switch {
			case errors.Is(err, io.EOF) && len(piece) == 0:
				return
			case err != nil:
				yield(line{}, cutShort(err))
				return
			case !yield(line{offset, piece[:len(piece)-1]}, nil):
				return
			}
			offset += int64(len(piece))
			long = long[:0]
		}
	}
}

// record is a row as its line has it: its members in their order. What a field policy left of
// them may be of other types than the schema says, so they are read one by one.
type record []member

type member struct {
	name  string
	value jsontext.Value
}

// tolerant takes what ingest took, today or once: a text may have halves of surrogate pairs.
var tolerant = jsontext.AllowInvalidUTF8(true)

// readRecord reads a line.
func readRecord(b []byte) (record, error) {
	d := jsontext.NewDecoder(bytes.NewReader(b), tolerant)
	if d.PeekKind() != '{' {
		return nil, errors.New("it is not a JSON object")
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	var r record
	for d.PeekKind() == '"' {
		name, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m := member{name: unquoted(name)}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value = value.Clone()
		r = append(r, m)
	}
	_, err := d.ReadToken()
	return r, err
}

// text is a member as text; of what is not text it is the JSON.
func (r record) text(name string) string {
	for _, m := range r {
		if m.name == name {
			return textOf(m.value)
		}
	}
	return ""
}

// objects is a member that is a list of objects.
func (r record) objects(name string) (all []record) {
	for _, m := range r {
		if m.name == name {
			for v := range elements(m.value) {
				if o, err := readRecord(v); err == nil {
					all = append(all, o)
				}
			}
		}
	}
	return all
}

// elements are those of a list; what is not a list has none.
func elements(v jsontext.Value) iter.Seq[jsontext.Value] {
	return func(yield func(jsontext.Value) bool) {
		if v.Kind() != '[' {
			return
		}
		d := jsontext.NewDecoder(bytes.NewReader(v), tolerant)
		if _, err := d.ReadToken(); err != nil {
			return
		}
		for d.PeekKind() != ']' {
			e, err := d.ReadValue()
			if err != nil || !yield(e.Clone()) {
				return
			}
		}
	}
}

// textOf is a value as a person reads it.
func textOf(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		return unquoted(v)
	case 'n':
		return ""
	}
	return string(v)
}

// unquoted is a JSON string; what is not Unicode in it becomes U+FFFD.
func unquoted(quoted jsontext.Value) string {
	b, _ := jsontext.AppendUnquote(nil, quoted)
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// fact is a name with what it says.
type fact struct{ Name, Value string }

// maxValue bounds what is shown of a value that is neither text nor number.
const maxValue = 16 << 10

// facts are the members of a row but those named, which are shown elsewhere. The members of its
// attributes are facts of their own.
func (r record) facts(but ...string) (all []fact) {
	shown := map[string]bool{}
	for _, name := range but {
		shown[name] = true
	}
	for _, m := range r {
		switch {
		case shown[m.name] || m.value.Kind() == 'n':
		case m.name == "attributes" && m.value.Kind() == '{':
			attributes, err := readRecord(m.value)
			if err != nil {
				continue
			}
			for _, a := range attributes {
				all = append(all, fact{"attributes/" + a.name, shownOf(a.value)})
			}
		default:
			all = append(all, fact{m.name, shownOf(m.value)})
		}
	}
	return all
}

func shownOf(v jsontext.Value) string {
	text := textOf(v)
	if k := v.Kind(); (k == '{' || k == '[') && len(text) > maxValue {
		return strings.ToValidUTF8(text[:maxValue], "") + " … (" + schemas.Counted(len(text)-maxValue, "byte") + " more in the JSON Lines)"
	}
	return text
}
