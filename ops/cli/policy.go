//go:build !receiver

package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cdds/schemas"
)

// policyFlags say what of each row is hidden; exports and jobs have the same.
type policyFlags struct {
	preset, unknown, file         string
	leaveOut, truncate, pseudonym []string
}

var policyFlagNames = []string{"preset", "leave-out", "truncate", "pseudonym", "unknown-members", "policy"}

func (f *policyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.preset, "preset", "", "hide what this `preset` names: personal, identifiers or free_text")
	flags.StringArrayVar(&f.leaveOut, "leave-out", nil, "leave out the member at this JSON `pointer`; repeatable")
	flags.StringArrayVar(&f.truncate, "truncate", nil, "keep the first characters of the text at a JSON pointer, as `POINTER=N`; repeatable")
	flags.StringArrayVar(&f.pseudonym, "pseudonym", nil, "replace the text at this JSON `pointer` by its keyed HMAC-SHA-256; repeatable")
	flags.StringVar(&f.unknown, "unknown-members", "", "`rule` for members that the schema does not have: keep (name them if you like) or leave_out")
	flags.StringVar(&f.file, "policy", "", "`file` with the field policy as JSON, in place of these flags")
	_ = cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(schemas.FieldPresets(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("unknown-members", cobra.FixedCompletions(schemas.UnknownChoices(), cobra.ShellCompDirectiveNoFileComp))
	for _, name := range policyFlagNames[:len(policyFlagNames)-1] {
		cmd.MarkFlagsMutuallyExclusive("policy", name)
	}
}

// changed reports whether any of the flags was given.
func (f *policyFlags) changed(is func(string) bool) bool {
	for _, name := range policyFlagNames {
		if is(name) {
			return true
		}
	}
	return false
}

// value is the policy that the flags describe; nil if they describe none.
func (f *policyFlags) value() (*schemas.FieldPolicy, error) {
	p := &schemas.FieldPolicy{Preset: f.preset, LeaveOut: given(f.leaveOut), Pseudonym: given(f.pseudonym), Unknown: f.unknown}
	if f.file != "" {
		content, err := os.ReadFile(f.file)
		if err == nil {
			err = schemas.ReadKnown(content, p)
		}
		if err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
		return p, nil
	}
	for _, one := range given(f.truncate) {
		at := strings.LastIndexByte(one, '=')
		n, err := strconv.Atoi(one[at+1:])
		if at < 0 || err != nil {
			return nil, fmt.Errorf("--truncate: %q must be pointer=n, such as /attributes/postcode=2", one)
		}
		if p.Truncate == nil {
			p.Truncate = map[string]int{}
		}
		if _, twice := p.Truncate[one[:at]]; twice {
			return nil, fmt.Errorf("--truncate: %q is named twice; give one rule for each member", one[:at])
		}
		p.Truncate[one[:at]] = n
	}
	if p.Preset == "" && p.Unknown == "" && len(p.LeaveOut)+len(p.Truncate)+len(p.Pseudonym) == 0 {
		return nil, nil
	}
	return p, nil
}

// given leaves out empty values, with which a list is emptied.
func given(values []string) (all []string) {
	for _, v := range values {
		if v != "" {
			all = append(all, v)
		}
	}
	return all
}
