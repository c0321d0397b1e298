package cli

import (
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
	flags.StringSliceVar(&m.queues, "queue", nil, "only these `queues`, comma separated; all if not given")
	flags.StringSliceVar(&m.directions, "direction", nil, "only these `directions`: inbound, outbound, internal")
	flags.StringSliceVar(&m.statuses, "status", nil, "only these `statuses`")
	flags.StringArrayVar(&m.attributes, "attribute", nil, "only rows with this attribute, `NAME=VALUE`; repeatable")
}

func (m *matchFlags) value() (schemas.Match, error) {
	match := schemas.Match{Queues: m.queues, Directions: m.directions, Statuses: m.statuses}
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

// told is the limits on one line for people, empty if there are none.
func told(m schemas.Match) string {
	var all []string
	add := func(name string, values []string) {
		if len(values) > 0 {
			all = append(all, name+" "+strings.Join(values, " or "))
		}
	}
	add("queue", m.Queues)
	add("direction", m.Directions)
	add("status", m.Statuses)
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		all = append(all, name+" = "+m.Attributes[name])
	}
	return strings.Join(all, ", ")
}
