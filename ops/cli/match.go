//go:build !receiver

package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"cdds/schemas"
)

// matchFlags limit rows beyond time and media type.
type matchFlags struct {
	queues, directions, statuses, attributes []string
}

func (m *matchFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&m.queues, "queue", nil, "only the queue of this `name`, or of several with commas between; repeatable")
	flags.StringSliceVar(&m.directions, "direction", nil, "only these `directions`: inbound, outbound, internal")
	flags.StringSliceVar(&m.statuses, "status", nil, "only these `statuses`")
	flags.StringArrayVar(&m.attributes, "attribute", nil, "only rows with this attribute, `NAME=VALUE`; repeatable")
}

func (m *matchFlags) value() (schemas.Match, error) {
	match := schemas.Match{Directions: trimmed(m.directions), Statuses: trimmed(m.statuses)}
	for _, given := range m.attributes {
		name, value, ok := strings.Cut(given, "=")
		if !ok || name == "" {
			return match, fmt.Errorf("--attribute %q: give it as NAME=VALUE", given)
		}
		if match.Attributes == nil {
			match.Attributes = map[string]string{}
		}
		match.Attributes[name] = value
	}
	return match, nil
}

// resolve reads --queue among those that a tenant has.
func (m *matchFlags) resolve(known func(names []string) ([]string, error)) ([]string, error) {
	queues, err := schemas.QueuesOf(m.queues, known)
	var doubtful *schemas.InvalidError
	if errors.As(err, &doubtful) {
		return nil, usageError{withHint(fmt.Errorf("--queue: %w", err), `two queues: --queue sales --queue support; one queue: --queue '"Sales, EMEA"'`)}
	}
	return queues, err
}

// trimmed is a list as its values are meant: "a, b" has no blank before the second.
func trimmed(list []string) []string {
	for n := range list {
		list[n] = strings.TrimSpace(list[n])
	}
	return list
}

// told is the limits on one line for people, empty if there are none.
func told(m schemas.Match) string {
	var all []string
	add := func(name string, values []string) {
		if len(values) > 0 {
			all = append(all, name+" "+strings.Join(values, " or "))
		}
	}
	queues := make([]string, len(m.Queues))
	for n, q := range m.Queues {
		queues[n] = schemas.QueueText(q)
	}
	add("queue", queues)
	add("direction", m.Directions)
	add("status", m.Statuses)
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		all = append(all, name+" = "+m.Attributes[name])
	}
	return strings.Join(all, ", ")
}
