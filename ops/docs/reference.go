package docs

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Commands is the page with every command (cli.md), made from the commands themselves.
func Commands(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\n<!-- Made by `make reference` from the commands. Change those. -->\n\n" +
		"What `cdds COMMAND --help` says, on one page. Flags of every command are listed once, here.\n\n")
	fenced(&b, root.PersistentFlags().FlagUsages())
	_, exitCodes, _ := strings.Cut(root.Long, "Exit codes:")
	exitCodes = "Exit codes:" + exitCodes
	fenced(&b, exitCodes)
	for _, c := range root.Commands() {
		describe(&b, c, exitCodes)
	}
	return b.String()
}

// describe writes a command and those below it.
func describe(b *strings.Builder, c *cobra.Command, exitCodes string) {
	if !c.IsAvailableCommand() || c.Name() == "help" {
		return
	}
	long := strings.TrimSpace(strings.ReplaceAll(c.Long, exitCodes, ""))
	if long == "" {
		long = c.Short
	}
	fmt.Fprintf(b, "## %s\n\n", c.CommandPath())
	fenced(b, long)
	if c.Runnable() && !c.HasAvailableSubCommands() {
		fenced(b, c.UseLine()+"\n\n"+strings.TrimRight(c.LocalFlags().FlagUsages(), "\n"))
	}
	if c.HasExample() {
		b.WriteString("Examples:\n\n")
		fenced(b, c.Example)
	}
	for _, below := range c.Commands() {
		describe(b, below, exitCodes)
	}
}

// fenced writes text as it is in help, which is laid out for a terminal.
func fenced(b *strings.Builder, text string) {
	if text = strings.TrimRight(strings.ReplaceAll(text, "```", "'''"), "\n "); text != "" {
		fmt.Fprintf(b, "```text\n%s\n```\n\n", text)
	}
}
