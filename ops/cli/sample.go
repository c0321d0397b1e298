//go:build !receiver

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"cdds/schemas"
	"cdds/schemas/sample"
)

func newSample(s *session) *cobra.Command {
	var rows int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "sample interactions|contacts",
		Short: "Write sample data to try CDDS with",
		Long: fmt.Sprintf(`Write invented interactions or contacts to standard output, as JSON Lines for
`+"`cdds import`"+`. The same --seed writes the same lines on every machine; contacts of a seed
are those its interactions name. Their times lie in %s to %s.
Their tenants are acme, globex and initech, the busiest first.

`+exitCodes, sample.Start.Format("2006-01-02"), sample.End.Format("2006-01-02")),
		Example: examples(
			"cdds sample interactions > interactions.jsonl",
			"cdds sample contacts --rows 500 | cdds import contacts -"),
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"interactions", "contacts"},
		RunE: func(_ *cobra.Command, args []string) error {
			if rows < 1 {
				return usageError{errors.New("--rows must be at least 1")}
			}
			switch args[0] {
			case "interactions":
				return writeSample(s.out.Writer, sample.Interactions(seed, rows), nil)
			case "contacts":
				return writeSample(s.out.Writer, sample.Contacts(seed, rows), nil)
			}
			return neither(args[0])
		},
	}
	cmd.Flags().IntVar(&rows, "rows", 20_000, "`number` of lines to write")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`number` that decides what the lines hold")
	return cmd
}

// neither refuses what is not one of the two kinds of files.
func neither(kind string) error {
	return usageError{fmt.Errorf("%q is neither interactions nor contacts", kind)}
}

// writeSample writes events as JSON Lines. It shows each line to each, if that is not
// nil; each must not keep it.
func writeSample[E schemas.Event](to io.Writer, events iter.Seq[E], each func(e E, line []byte)) error {
	w := bufio.NewWriterSize(to, 1<<20)
	for e := range events {
		line, err := schemas.Encode(e)
		if err != nil {
			return err
		}
		if each != nil {
			each(e, line)
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return w.Flush()
}
