// Command reference describes the command line from the commands themselves: one page in
// Markdown for ops/docs, or a man page for each command.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"cdds/ops/cli"
	"cdds/ops/docs"
)

func main() {
	markdown := flag.String("markdown", "", "`file` to write one page with every command to")
	man := flag.String("man", "", "`directory` to write man pages to")
	version := flag.String("version", "", "`version` to name in man pages")
	flag.Parse()
	if err := run(*markdown, *man, *version); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(markdown, man, version string) error {
	root := cli.Commands()
	if markdown != "" {
		if err := os.WriteFile(markdown, []byte(docs.Commands(root)), 0o644); err != nil { //nolint:gosec // documentation is public
			return err
		}
	}
	if man == "" {
		return nil
	}
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	eachCommand(root, func(c *cobra.Command) { c.Long = tables(c.Long) })
	for _, c := range docs.Topics(root) { // which are of no interest to GenManTree
		var page bytes.Buffer
		if err := doc.GenMan(c, &doc.GenManHeader{Title: "CDDS-" + strings.ToUpper(c.Name()), Section: "7", Source: strings.TrimSpace("cdds " + version), Manual: "CDDS"}, &page); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(man, "cdds-"+c.Name()+".7"), page.Bytes(), 0o644); err != nil { //nolint:gosec // documentation is public
			return err
		}
	}
	return doc.GenManTree(root, &doc.GenManHeader{Title: "CDDS", Section: "1", Source: strings.TrimSpace("cdds " + version), Manual: "CDDS"}, man)
}

func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, below := range c.Commands() {
		eachCommand(below, do)
	}
}

// tables indents the lines of help that are laid out as a table, so that a man page leaves
// them as they are.
func tables(help string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(help) {
		table := strings.HasPrefix(line, "  ")
		if table != inside {
			b.WriteString("\n")
		}
		if inside = table; table {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}
