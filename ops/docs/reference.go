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
	for _, c := range Topics(root) {
		fmt.Fprintf(&b, "## cdds help %s\n\n%s.\n\n", c.Name(), c.Short)
		fenced(&b, strings.ReplaceAll(c.Long, exitCodes, "(the exit codes above)"))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// Topics are the pages of help that are about several commands.
func Topics(root *cobra.Command) (all []*cobra.Command) {
	for _, c := range root.Commands() {
		if c.IsAdditionalHelpTopicCommand() && c.Name() != "help" && c.Name() != "completion" {
			all = append(all, c)
		}
	}
	return all
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
