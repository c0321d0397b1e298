package cli

import (
	"fmt"
	"os"
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

// contacts returns the ids of both flags. Blanks around an id are part of it.
func (p *peopleFlags) contacts() ([]string, error) {
	ids := p.ids
	if p.file != "" {
		content, err := os.ReadFile(p.file)
		if err != nil {
			return nil, fmt.Errorf("--contacts-file: %w", err)
		}
		before := len(ids)
		for line := range strings.Lines(strings.TrimPrefix(string(content), "\ufeff")) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				ids = append(ids, line)
			}
		}
		if len(ids) == before { // an empty list would select everybody
			return nil, fmt.Errorf("--contacts-file: %s lists no id", p.file)
		}
	}
	for _, id := range ids {
		if id == "" {
			return nil, fmt.Errorf("--contact: the id is empty")
		}
	}
	return ids, nil
}
