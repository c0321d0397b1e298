package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// step is an item of a tutorial's numbered list: what the reader does in the console, and
// what the page then shows. The test reads the same sentence.
type step struct {
	line int
	text string
}

var (
	item = regexp.MustCompile(`^\d+\. (.*)$`)
	bold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// sentences are what a step may consist of. **Bold** is a label that the console shows,
// `code` is the reader's own text. The first that fits what is left of a step is done.
var sentences = []struct {
	reads *regexp.Regexp
	does  func(v *visitor, words []string) error
}{
	{says("open `(http://[^`]+)`"), func(v *visitor, w []string) error { return v.visit(w[1]) }},
	{says(`open \*\*([^*]+)\*\*(?: in the menu)?`), func(v *visitor, w []string) error { return v.press("entry", w[1]) }},
	{says(`(?:press|choose|confirm with) (?:\*\*([^*]+)\*\*|` + "`([^`]+)`)"), func(v *visitor, w []string) error { return v.press("control", w[1]+w[2]) }},
	{says("(?:enter )?(?:`([^`]*)`|the password that (it|`cdds up`) printed) in ((?:(?:,? and )?\\*\\*[^*]+\\*\\*)+)"), func(v *visitor, w []string) error {
		text := w[1]
		if w[2] != "" {
			text = v.password(w[2])
		}
		for _, label := range bold.FindAllStringSubmatch(w[3], -1) {
			if err := v.enter(text, label[1]); err != nil {
				return err
			}
		}
		return nil
	}},
	{says("select `([^`]+)` in \\*\\*([^*]+)\\*\\*"), func(v *visitor, w []string) error { return v.choose(w[1], w[2]) }},
	{says(`tick (?:\*\*([^*]+)\*\*|` + "`([^`]+)`)"), func(v *visitor, w []string) error { return v.tick(w[1] + w[2]) }},
	{says("attach `([^`]+)` as \\*\\*([^*]+)\\*\\*"), func(v *visitor, w []string) error { return v.attach(w[1], w[2]) }},
	{says("(?:the page shows|wait until the page shows|it shows) (?:`([^`]+)`|\\*\\*([^*]+)\\*\\*)"), func(v *visitor, w []string) error { return v.shows(w[1] + w[2]) }},
	{says("you get `([^`]+)`"), func(v *visitor, w []string) error { return v.gets(w[1]) }},
}

// between are what joins the sentences of a step.
var between = regexp.MustCompile(`^(?:[,.;:]? ?)(?i:and then |and |then )?`)

func says(what string) *regexp.Regexp { return regexp.MustCompile(`^(?i:` + what + `)`) }

// do does what a step says, from its first word to its last.
func (s step) do(v *visitor) error {
	for left := strings.ReplaceAll(s.text, "\n", " "); strings.Trim(left, ". ") != ""; {
		left = left[len(between.FindString(left)):]
		done := false
		for _, sentence := range sentences {
			words := sentence.reads.FindStringSubmatch(left)
			if words == nil {
				continue
			}
			if err := sentence.does(v, words); err != nil {
				return fmt.Errorf("%q: %w", words[0], err)
			}
			left, done = left[len(words[0]):], true
			break
		}
		if !done {
			return fmt.Errorf("the test cannot follow %q: steps_test.go has the sentences that it reads", left)
		}
	}
	return nil
}

// TestNothingIsSaidOfTheConsoleOutsideSteps holds a tutorial to what a test has done: a
// label of the console stands in a step.
func TestNothingIsSaidOfTheConsoleOutsideSteps(t *testing.T) {
	steps := 0
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.file, "tutorials/") {
			continue
		}
		if len(p.steps) == 0 {
			t.Errorf("%s has no step in the console", p.file)
		}
		steps += len(p.steps)
		content, err := os.ReadFile(p.file)
		check(t, err)
		within := func(n int) bool {
			for _, s := range p.steps {
				if n >= s.line && n < s.line+strings.Count(s.text, "\n")+1 {
					return true
				}
			}
			return false
		}
		for _, at := range bold.FindAllIndex(content, -1) {
			if n := 1 + strings.Count(string(content[:at[0]]), "\n"); !within(n) {
				t.Errorf("%s:%d: %q names a part of the console, and no step of a numbered list does anything with it", p.file, n, content[at[0]:at[1]])
			}
		}
	}
	t.Logf("%d steps", steps)
}

// rendezvous is where the shell of a page and the test meet: at each step of the console
// the shell waits until it is done.
type rendezvous struct {
	asked, answer *os.File // the test's ends
	shell         []*os.File
}

// consoleStep is what the shell runs at a step: it ends the page where the step failed.
const consoleStep = "console() { echo \"$1\" >&3; local answer; read -r answer <&4; test \"$answer\" = done; }\n"

func meet(t *testing.T) *rendezvous {
	t.Helper()
	asked, asks, err := os.Pipe()
	check(t, err)
	hears, answer, err := os.Pipe()
	check(t, err)
	r := &rendezvous{asked: asked, answer: answer, shell: []*os.File{asks, hears}}
	t.Cleanup(func() { _, _ = asked.Close(), answer.Close() })
	return r
}

// follow does the steps that the shell asks for, until the shell has ended.
func (r *rendezvous) follow(t *testing.T, p page, v *visitor) {
	t.Helper()
	for _, f := range r.shell { // the shell has its own
		_ = f.Close()
	}
	for {
		var n int
		if _, err := fmt.Fscanln(r.asked, &n); err != nil {
			return
		}
		answer := "done"
		if err := p.steps[n].do(v); err != nil {
			t.Errorf("%s:%d: %v", filepath.Base(p.file), p.steps[n].line, err)
			answer = "failed"
		}
		if _, err := fmt.Fprintln(r.answer, answer); err != nil {
			return
		}
	}
}
