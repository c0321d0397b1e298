package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// prefix of every variable of CDDS.
const prefix = "CDDS_"

// readEnviron sets in c what the variables of environ, a list of KEY=value, say; an empty
// one says nothing. Every problem is returned at once, with the name of its variable.
func readEnviron(environ []string, c *Config) (problems []error) {
	given := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		given[name] = value
	}
	eachVariable(reflect.ValueOf(c).Elem(), prefix, "", func(name, key string, v reflect.Value) {
		if text := given[name]; text != "" {
			if err := setText(v, text); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", name, err))
				return
			}
			c.set(key, place{name: name})
		}
	})
	return problems
}

// eachVariable calls do with the name of every variable, the key it is for and what it sets.
func eachVariable(section reflect.Value, prefix, above string, do func(name, key string, v reflect.Value)) {
	for i := range section.NumField() {
		tag := section.Type().Field(i).Tag
		key := join(above, tag.Get("yaml"))
		if below, ok := tag.Lookup("envPrefix"); ok {
			eachVariable(section.Field(i), prefix+below, key, do)
		} else if name, ok := tag.Lookup("env"); ok && name != "-" {
			do(prefix+name, key, section.Field(i))
		}
	}
}

// Variables lists every environment variable that sets something of Config.
func Variables() (names []string) {
	var c Config
	eachVariable(reflect.ValueOf(&c).Elem(), prefix, "", func(name, _ string, _ reflect.Value) { names = append(names, name) })
	slices.Sort(names)
	return names
}

// setText sets v from text: of one value, or of a variable, where lists are a,b and maps
// a:1,b:2.
func setText(v reflect.Value, text string) error {
	if unmarshal := unmarshalerOf(v); unmarshal != nil {
		return unmarshal(text)
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		var is bool
		is, err = parseBool(text)
		v.SetBool(is)
	case reflect.Float64:
		var n float64
		n, err = parseFloat(text)
		v.SetFloat(n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setText(v.Elem(), text)
	case reflect.Slice:
		items := strings.Split(text, ",")
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
		for i, item := range items {
			if err := setText(v.Index(i), strings.TrimSpace(item)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		return setMap(v, text)
	default:
		var n int64
		n, err = parseInt(text, v.Type().Bits())
		v.SetInt(n)
	}
	if err != nil {
		return fmt.Errorf("%q must be %s", text, kindName(v.Kind()))
	}
	return nil
}

func setMap(v reflect.Value, text string) error {
	v.Set(reflect.MakeMap(v.Type()))
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok || key == "" {
			return fmt.Errorf("%q is not NAME:VALUE", pair)
		}
		if v.MapIndex(reflect.ValueOf(key)).IsValid() {
			return fmt.Errorf("%s is named twice", key)
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := setText(element, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		v.SetMapIndex(reflect.ValueOf(key), element)
	}
	return nil
}
