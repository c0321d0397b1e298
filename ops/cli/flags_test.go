package cli

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// placeholders are what a flag's value may be called in help. pflag takes the first word
// in backticks of a flag's description for it, and a Go type where none exists.
var placeholders = []string{
	"NAME=VALUE", "POINTER=N", "URL", "address", "bits", "cipher", "day", "days", "destination", "directions", "directory", "duration", "encoding", "entity",
	"expression", "file", "hours", "id", "level", "name", "number", "partition", "pointer", "position", "preset", "product", "queue", "role", "roles", "rule", "scheme", "size",
	"state", "statuses", "tenant", "text", "time", "title", "topic", "topics", "types", "weekday", "zone",
}

func TestHelpCallsTheValueOfEveryFlagByANounAndThatOfASwitchByNone(t *testing.T) {
	flags := 0
	each(newRoot(&session{in: strings.NewReader(""), out: terminal{io.Discard}, err: terminal{io.Discard}}), func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			flags++
			name, _ := pflag.UnquoteUsage(f)
			if f.Value.Type() == "bool" {
				if name != "" {
					t.Errorf("%s --%s takes no value and is shown with %q", c.CommandPath(), f.Name, name)
				}
			} else if !slices.Contains(placeholders, name) {
				t.Errorf("%s --%s is shown with %q; put a noun of its description in backticks", c.CommandPath(), f.Name, name)
			}
			if strings.Count(f.Usage, "`") > 2 {
				t.Errorf("%s --%s: pflag shows the backticks of %q", c.CommandPath(), f.Name, f.Usage)
			}
		})
	})
	if flags < 100 {
		t.Errorf("only %d flags were looked at", flags)
	}
}

func TestEveryTypeOfFlagSaysWhatItTakes(t *testing.T) {
	each(newRoot(&session{in: strings.NewReader(""), out: terminal{io.Discard}, err: terminal{io.Discard}}), func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			wrong := f.Value.Set("\x00")
			if wrong == nil || strings.HasSuffix(c.CommandPath(), "completion") {
				return // a text
			}
			if said := mistypedFlag(c, c.Flags().Set(f.Name, "\x00")); strings.Contains(said.Error(), "strconv") || strings.Contains(said.Error(), "time:") {
				t.Errorf("%s --%s (%s): %v", c.CommandPath(), f.Name, f.Value.Type(), said)
			}
		})
	})
}

// each calls do with a command and all below it.
func each(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, below := range c.Commands() {
		each(below, do)
	}
}
