package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// peopleFlags limit an export to some contacts.
type peopleFlags struct {
	ids          []string
	file, reason string
}

func (p *peopleFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&p.ids, "contact", nil, "only data of the contact with this `id`; repeatable")
	flags.StringVar(&p.file, "contacts-file", "", "only data of the contacts whose ids this `file` lists, one a line")
	flags.StringVar(&p.reason, "reason", "", "why the data of these contacts is needed, such as a case number, as `text`")
}

// contacts returns the ids of both flags.
func (p *peopleFlags) contacts() ([]string, error) {
	listed, err := idsIn("contacts-file", p.file)
	if err != nil {
		return nil, err
	}
	for _, id := range p.ids {
		if id == "" {
			return nil, fmt.Errorf("--contact: the id is empty")
		}
	}
	return slices.Concat(p.ids, listed), nil
}

// idsIn returns the ids that the file of a flag lists; none if there is no file. Blanks
// around an id are part of it.
func idsIn(flag, file string) (ids []string, err error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	for line := range strings.Lines(strings.TrimPrefix(string(content), "\ufeff")) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			ids = append(ids, line)
		}
	}
	if len(ids) == 0 { // an empty list would select everybody
		return nil, fmt.Errorf("--%s: %s lists no id", flag, file)
	}
	return ids, nil
}
