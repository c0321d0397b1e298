package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminal is where everything that people read is written to. Names, reasons and
// certificates come from strangers; a control or bidirectional character in them would
// move the cursor, hide lines or reorder text, so it is shown as \uXXXX. In JSON that
// means the same character.
type terminal struct{ io.Writer }

func (t terminal) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.Writer, escaped(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// isTerminal reports whether it is a terminal, and no file or pipe.
func (t terminal) isTerminal() bool {
	f, ok := t.Writer.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// escaped is s with all that a terminal obeys or that is not text made visible. Line
// breaks and tabs stay.
func escaped(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, obeyed) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case obeyed(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

func obeyed(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}

// oneLine is s for a cell of a table or the midst of a sentence, where a line break or a
// tab would look like the next row, column or message.
func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(escaped(s))
}
