//go:build receiver || production

package cli

import "github.com/spf13/cobra"

const startHere = `  cdds up          the roles, on the services that are configured
`

// embeddedCommands are none: production builds have no embedded stack.
func embeddedCommands(*session) []*cobra.Command { return nil }

func childMain([]string) (int, bool) { return 0, false }
