package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// version12 is a directive that the YAML reader refuses, although it reads YAML 1.2.
var version12 = regexp.MustCompile(`(?m)^%YAML 1\.2`)

// readYAML sets in c what a YAML 1.2 document says, and leaves the rest as it is. An
// empty document says nothing. Every problem is returned at once, with the name of the
// file, the line and the key.
func readYAML(file string, content []byte, c *Config) []error {
	if at := version12.FindIndex(content); at != nil {
		content = bytes.Clone(content)
		content[at[0]] = '#'
	}
	documents := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	switch err := documents.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return []error{syntax(file, err)}
	}
	switch err := documents.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return []error{syntax(file, err)}
	default:
		return []error{fmt.Errorf("%s:%d: a second document begins here; a configuration is one document", file, second.Line)}
	}
	r := reader{file: file, set: c.set}
	r.read(document.Content[0], reflect.ValueOf(c).Elem(), "")
	return r.problems
}

// syntax is what the YAML library says of text that is not YAML.
func syntax(file string, err error) error {
	var at *yaml.LoadError
	if errors.As(err, &at) && at.Mark.Line > 0 {
		return fmt.Errorf("%s:%d: not YAML: %s", file, at.Mark.Line, at.Message)
	}
	return fmt.Errorf("%s: not YAML: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
}

// reader sets values from nodes. yaml.Node.Decode would do it too, but stops at the
// first value it cannot convert and does not name its key.
type reader struct {
	file     string
	set      func(key string, at place)
	problems []error
}

func (r *reader) problem(n *yaml.Node, key, format string, args ...any) {
	if key != "" {
		key += ": "
	}
	r.problems = append(r.problems, r.at(n).problem(key+fmt.Sprintf(format, args...)))
}

// took remembers where a key has its value from.
func (r *reader) took(n *yaml.Node, key string) { r.set(key, r.at(n)) }

func (r *reader) at(n *yaml.Node) place { return place{r.file, n.Line} }

// read sets v, which key names, from n. null leaves it as it is.
func (r *reader) read(n *yaml.Node, v reflect.Value, key string) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if unmarshal := unmarshalerOf(v); unmarshal != nil {
		if n.Kind != yaml.ScalarNode {
			r.problem(n, key, "must be one value")
		} else if err := unmarshal(n.Value); err != nil {
			r.problem(n, key, "%v", err)
		} else {
			r.took(n, key)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.section(n, v, key)
	case reflect.Map:
		made := reflect.MakeMap(v.Type())
		r.pairs(n, key, func(name string, _, value *yaml.Node) {
			element := reflect.New(v.Type().Elem()).Elem()
			r.read(value, element, join(key, name))
			made.SetMapIndex(reflect.ValueOf(name), element)
		})
		v.Set(made)
		r.took(n, key)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			r.problem(n, key, "must be a list, such as [a, b]")
			return
		}
		r.took(n, key)
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			r.read(item, v.Index(i), fmt.Sprintf("%s[%d]", key, i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.read(n, v.Elem(), key)
	default:
		// Not n.Decode, to which 010 is eight, as it was in YAML 1.1.
		if n.Kind != yaml.ScalarNode || setText(v, n.Value) != nil {
			r.problem(n, key, "%q must be %s", n.Value, kindName(v.Kind()))
			return
		}
		r.took(n, key)
	}
}

// unmarshalerOf returns what sets v from text; nil if YAML's own types do.
func unmarshalerOf(v reflect.Value) func(text string) error {
	if d, ok := v.Addr().Interface().(*time.Duration); ok {
		return func(text string) (err error) {
			*d, err = ParseDuration(text)
			return err
		}
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return func(text string) error { return u.UnmarshalText([]byte(text)) }
	}
	return nil
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number in range"
}

// section sets the fields of a struct.
func (r *reader) section(n *yaml.Node, v reflect.Value, key string) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		name, ok := v.Type().Field(i).Tag.Lookup("yaml")
		if !ok {
			continue
		}
		fields[name], names = v.Field(i), append(names, name)
	}
	r.pairs(n, key, func(name string, at, value *yaml.Node) {
		field, ok := fields[name]
		if !ok {
			r.problem(at, join(key, name), "unknown key%s", DidYouMean(name, names))
			return
		}
		r.read(value, field, join(key, name))
	})
}

// pairs calls each with the keys of a mapping and their values.
func (r *reader) pairs(n *yaml.Node, key string, each func(name string, at, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, key, "must be keys with values, such as key: value")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at := n.Content[i]
		if at.Kind != yaml.ScalarNode {
			r.problem(at, key, "a key must be text")
			continue
		}
		if first, twice := seen[at.Value]; twice {
			r.problem(at, join(key, at.Value), "appears twice, first in line %d", first)
			continue
		}
		seen[at.Value] = at.Line
		each(at.Value, at, n.Content[i+1])
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
