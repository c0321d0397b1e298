package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// place is where a key was given its value: a line of a file, or a variable, which has no line.
type place struct {
	name string
	line int
}

// problem says what is wrong at a place.
func (p place) problem(text string) error { return &problem{p, text} }

// problem is what is wrong with what somebody wrote.
type problem struct {
	at   place
	text string
}

func (p *problem) Error() string {
	if p.at.line == 0 {
		return p.at.name + ": " + p.text
	}
	return fmt.Sprintf("%s:%d: %s", p.at.name, p.at.line, p.text)
}

// Join joins problems in the order in which they are mended: those of lines by line, then others
// as they come.
func Join(all ...error) error {
	each := flat(all)
	line := func(err error) int {
		if p := (*problem)(nil); errors.As(err, &p) && p.at.line > 0 {
			return p.at.line
		}
		return math.MaxInt
	}
	slices.SortStableFunc(each, func(a, b error) int { return cmp.Compare(line(a), line(b)) })
	return errors.Join(each...)
}

// flat are errors without those that were joined of others, and without nil.
func flat(all []error) (each []error) {
	for _, err := range all {
		switch joined := err.(type) { //nolint:errorlint // what wraps a joined error says more than that
		case nil:
		case interface{ Unwrap() []error }:
			each = append(each, flat(joined.Unwrap())...)
		default:
			each = append(each, err)
		}
	}
	return each
}

// set remembers where a key was given its value.
func (c *Config) set(key string, at place) {
	if c.from == nil {
		c.from = map[string]place{}
	}
	c.from[key] = at
}

// keys finds the keys that a problem is about.
var keys = regexp.MustCompile(`\b[a-z0-9_]+(\.[a-z0-9_]+)+`)

// origin is where the first key that a problem names, or something below it, was given its
// value; false if all of them have their defaults.
func (c Config) origin(problem string) (place, bool) {
	for _, key := range keys.FindAllString(problem, -1) {
		if at, ok := c.from[key]; ok {
			return at, true
		}
		for _, below := range slices.Sorted(maps.Keys(c.from)) {
			if strings.HasPrefix(below, key+".") || strings.HasPrefix(below, key+"[") {
				return c.from[below], true
			}
		}
	}
	return place{}, false
}

// problems collects what is wrong with a configuration, each with where it was written.
type problems struct {
	of      Config
	all     []error
	written []error // those of what somebody wrote, not of what is missing
}

func (p *problems) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	at, written := p.of.origin(text)
	if !written {
		p.all = append(p.all, errors.New(text))
		return
	}
	err := at.problem(text)
	p.all, p.written = append(p.all, err), append(p.written, err)
}

// CheckWritten reports every problem of the values that were written somewhere. It is for a
// configuration of which a part could not be read: what seems to be missing may be in that.
func (c Config) CheckWritten() error {
	p := problems{of: c}
	c.checkSettings(p.add)
	return Join(p.written...)
}
