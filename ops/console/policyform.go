package console

import (
	"fmt"
	"strconv"
	"strings"

	"cdds/schemas"
)

// preset is a choice of the editor.
type preset struct{ Name, Title string }

// Presets are what the editor offers to hide at once.
func (jobForm) Presets() []preset {
	return []preset{
		{schemas.PresetPersonal, "all that names or describes a person"},
		{schemas.PresetIdentifiers, "who somebody is, not what was said"},
		{schemas.PresetFreeText, "what was said and shown"},
	}
}

// Policy is the field policy. It is empty if the export hides nothing.
func (f jobForm) Policy() schemas.FieldPolicy {
	if f.FieldPolicy == nil {
		return schemas.FieldPolicy{}
	}
	return *f.FieldPolicy
}

// HiddenLines are the rules as the editor has them.
func (f jobForm) HiddenLines() string {
	var lines strings.Builder
	for _, r := range f.FieldPolicy.Own() {
		fmt.Fprintf(&lines, "%s %s", r.Action, r.Pointer)
		if r.Action == schemas.FieldTruncate {
			fmt.Fprintf(&lines, " %d", r.Keep)
		}
		lines.WriteByte('\n')
	}
	return lines.String()
}

// fieldPolicyOf reads the editor's field policy, nil if it hides nothing, and says what it cannot
// read.
func fieldPolicyOf(get func(string) string) (*schemas.FieldPolicy, []string) {
	p := &schemas.FieldPolicy{Preset: get("preset"), Unknown: get("unknown_members"), Truncate: map[string]int{}}
	var problems []string
	rules := 0
	for _, line := range strings.Split(get("hidden"), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		rules++
		action, pointer, _ := strings.Cut(line, " ")
		pointer = strings.TrimSpace(pointer)
		switch action {
		case schemas.FieldLeaveOut:
			p.LeaveOut = append(p.LeaveOut, pointer)
		case schemas.FieldPseudonym:
			p.Pseudonym = append(p.Pseudonym, pointer)
		case schemas.FieldTruncate:
			at := strings.LastIndexByte(pointer, ' ')
			n, err := strconv.Atoi(pointer[at+1:])
			if at < 0 || err != nil {
				problems = append(problems, fmt.Sprintf("hidden members: %q must end with how many characters are kept", line))
				continue
			}
			pointer = strings.TrimSpace(pointer[:at])
			if _, twice := p.Truncate[pointer]; twice {
				problems = append(problems, fmt.Sprintf("hidden members: %q is named twice", pointer))
			}
			p.Truncate[pointer] = n
		default:
			problems = append(problems, fmt.Sprintf("hidden members: %q must begin with %s", line, strings.Join(schemas.FieldActions(), ", ")))
		}
	}
	if rules == 0 && p.Preset == "" && p.Unknown == "" {
		return nil, problems
	}
	return p, problems
}
