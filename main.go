// Command cdds moves contact-centre history out: safely, completely, encrypted.
package main

import (
	"os"

	"cdds/ops/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
