package schemas_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cdds/schemas"
)

func TestQueuesAreReadAsTheQueuesThereAre(t *testing.T) {
	there := []string{"sales", "support", "Sales", "Sales, EMEA"}
	known := func(names []string) (all []string, _ error) {
		for _, n := range names {
			if slices.Contains(there, n) {
				all = append(all, n)
			}
		}
		return all, nil
	}
	for _, c := range []struct{ texts, want []string }{
		{[]string{"sales, support"}, []string{"sales", "support"}},
		{[]string{"sales,support"}, []string{"sales", "support"}},
		{[]string{"Sales, EMEA"}, []string{"Sales, EMEA"}},
		{[]string{" Sales, EMEA ", "support"}, []string{"Sales, EMEA", "support"}},
		{[]string{"anything", "new one"}, []string{"anything", "new one"}},
		{[]string{`"Sales, APAC"`, `"say ""hello"", please"`, `"`}, []string{"Sales, APAC", `say "hello", please`, `"`}},
		{[]string{"", "  "}, nil},
	} {
		got, err := schemas.QueuesOf(c.texts, known)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q is read as %q, %v; want %q", c.texts, got, err, c.want)
		}
	}
	for _, doubtful := range []string{"Sales, APAC", "sales, no-such-queue", "a,b"} { // one queue to come, or a slip
		var invalid *schemas.InvalidError
		if got, err := schemas.QueuesOf([]string{doubtful}, known); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "double quotes") {
			t.Errorf("%q is read as %q, %v", doubtful, got, err)
		}
	}
	away := errors.New("away")
	if _, err := schemas.QueuesOf([]string{"a,b"}, func([]string) ([]string, error) { return nil, away }); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
}

func TestAQueueIsReadBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		queue := rapid.StringN(1, 20, 100).Draw(t, "queue")
		got, err := schemas.QueuesOf([]string{schemas.QueueText(queue)}, func([]string) ([]string, error) { return nil, nil })
		if err != nil || len(got) != 1 || got[0] != queue {
			t.Fatalf("%q was written %q and read as %q, %v", queue, schemas.QueueText(queue), got, err)
		}
	})
}
