package docs_test

import (
	"os"
	"testing"

	"cdds/ops/cli"
	"cdds/ops/docs"
)

func TestThePageOfCommandsIsCurrent(t *testing.T) {
	committed, err := os.ReadFile("cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(committed) != docs.Commands(cli.Commands()) {
		t.Error("cli.md is not what the commands say of themselves: `make reference` writes it again")
	}
}
