package shell_test

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cdds/ops/shell"
)

func TestAShellTakesAQuotedWordAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hard := rapid.SampledFrom([]string{"'", `"`, "$(touch x)", "`id`", "\n", ";", "&&", "|", "*", "~", "#", "\\", " ", "-n", "!", "ü", "=", ""})
		word := strings.Join(rapid.SliceOfN(rapid.OneOf(hard, rapid.StringMatching(`[a-zA-Z0-9._/-]{0,5}`)), 0, 6).Draw(t, "pieces"), "")
		got, err := exec.Command("sh", "-c", "printf %s "+shell.Quote(word)).CombinedOutput()
		if err != nil || string(got) != word {
			t.Fatalf("the shell makes %q of %q, %v", got, word, err)
		}
	})
}

func TestAPlainWordStaysAsItIs(t *testing.T) {
	if got, want := shell.Command("cdds", "verify", "a/b-1.0", "--signer", "it's", ""), `cdds verify a/b-1.0 --signer 'it'\''s' ''`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
