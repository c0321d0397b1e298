package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// set remembers where a key was given its value: a file with its line, or a variable.
func (c *Config) set(key, place string) {
	if c.from == nil {
		c.from = map[string]string{}
	}
	c.from[key] = place
}

// keys finds the keys that a problem is about.
var keys = regexp.MustCompile(`\b[a-z0-9_]+(\.[a-z0-9_]+)+`)

// origin is where the first key that a problem names, or something below it, was given its
// value; empty if all of them have their defaults.
func (c Config) origin(problem string) string {
	for _, key := range keys.FindAllString(problem, -1) {
		if place, ok := c.from[key]; ok {
			return place
		}
		for _, below := range slices.Sorted(maps.Keys(c.from)) {
			if strings.HasPrefix(below, key+".") || strings.HasPrefix(below, key+"[") {
				return c.from[below]
			}
		}
	}
	return ""
}

// problems collects what is wrong with a configuration, each with where it was written.
type problems struct {
	of      Config
	all     []error
	written []error // those of what somebody wrote, not of what is missing
}

func (p *problems) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	place := p.of.origin(text)
	if place == "" {
		p.all = append(p.all, errors.New(text))
		return
	}
	err := errors.New(place + ": " + text)
	p.all, p.written = append(p.all, err), append(p.written, err)
}

// CheckWritten reports every problem of the values that were written somewhere. It is for a
// configuration of which a part could not be read: what seems to be missing may be in that.
func (c Config) CheckWritten() error {
	p := problems{of: c}
	c.checkSettings(p.add)
	return errors.Join(p.written...)
}
