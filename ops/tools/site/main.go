// Command site writes the documentation as a web site into a directory, for any server of files.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"cdds/ops/docs/site"
)

func main() {
	out := flag.String("out", "dist/docs", "`directory` to write the site to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out string) error {
	files, err := site.Files()
	if err != nil {
		return err
	}
	for name, content := range files {
		to := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o644); err != nil { //nolint:gosec // documentation is public
			return err
		}
	}
	return nil
}
