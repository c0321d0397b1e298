//go:build !receiver && !production

package cli

import (
	"github.com/spf13/cobra"

	"cdds/ops/stack"
)

const startHere = `  cdds demo        everything once, on sample data, with the proof
  cdds up          the whole system on this machine, nothing to configure
`

// embeddedCommands are those that need the embedded stack.
func embeddedCommands(s *session) []*cobra.Command { return []*cobra.Command{newDemo(s)} }

// childMain is the process of a service of the embedded stack, if this is one.
func childMain(args []string) (int, bool) { return stack.ChildMain(args) }
