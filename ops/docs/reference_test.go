package docs

import (
	"os"
	"testing"

	"cdds/ops/cli"
)

func TestThePageOfCommandsIsCurrent(t *testing.T) {
	committed, err := os.ReadFile("cli.md")
	check(t, err)
	if string(committed) != Commands(cli.Commands()) {
		t.Error("cli.md is not what the commands say of themselves: `make reference` writes it again")
	}
}
