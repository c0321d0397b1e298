package receiver_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

func TestAnOpenedExportGivesTheLinesThatWereExported(t *testing.T) {
	scratch := t.TempDir()
	e := opened(t, export{parts: 3}.write(t), scratch)
	for i, part := range parts(t, e) {
		var got bytes.Buffer
		err := e.Lines(t.Context(), part, func(line []byte) error {
			got.Write(append(line, '\n'))
			return nil
		})
		if err != nil || !bytes.Equal(got.Bytes(), linesOf(i+1)) {
			t.Errorf("part %d has other lines: %v", i+1, err)
		}
	}
	if got := names(t, scratch); got != "" {
		t.Errorf("left %s", got)
	}
}

func TestLinesOfWhichOneIsRefusedEndThere(t *testing.T) {
	scratch := t.TempDir()
	e := opened(t, export{parts: 1}.write(t), scratch)
	full := errors.New("the disk is full")
	seen := 0
	err := e.Lines(t.Context(), parts(t, e)[0], func([]byte) error {
		if seen++; seen == 10 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || seen != 10 {
		t.Errorf("after %d lines: %v", seen, err)
	}
	if got := names(t, scratch); got != "" {
		t.Errorf("left %s", got)
	}
}

func TestLinesThatAreNotWhatTheManifestSaysEndInAViolation(t *testing.T) {
	for name, x := range map[string]export{
		"other lines": {parts: 1, edit: func(m *schemas.Manifest) { m.Parts[0].JSONLSHA256 = digest(nil) }},
		"a line without end": {parts: 1, zip: func(t testing.TB, name string, lines []byte) []byte {
			return zipOf(t, name, append(lines[:len(lines)-1:len(lines)-1], ' '))
		}},
	} {
		e := opened(t, x.write(t), t.TempDir())
		err := e.Lines(t.Context(), parts(t, e)[0], func([]byte) error { return nil })
		if v := new(receiver.Violation); !errors.As(err, &v) || v.Rule != receiver.RuleContent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnOpenedExportGivesItsAttachments(t *testing.T) {
	for content, wrong := range map[string]bool{"hi": false, "ho": true} {
		e := opened(t, attached(t, content), t.TempDir())
		var got strings.Builder
		var lines []string
		err := e.Attachments(t.Context(), parts(t, e)[0], func(line schemas.AttachmentLine, write func(io.Writer) error) error {
			lines = append(lines, line.AttachmentID)
			return write(&got)
		})
		if v := new(receiver.Violation); errors.As(err, &v) != wrong || got.String() != content || !slices.Equal(lines, []string{"x"}) {
			t.Errorf("%q of %q: %v", got.String(), lines, err)
		}
	}
}

func opened(t *testing.T, dir, scratch string) *receiver.Export {
	t.Helper()
	e, err := receiver.Open(t.Context(), dir, anna().cert, anna().key, scratch, receiver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// parts are those of an opened export.
func parts(t testing.TB, e *receiver.Export) (all []schemas.Receipt) {
	t.Helper()
	err := e.Parts(func(part schemas.Receipt) error {
		all = append(all, part)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
