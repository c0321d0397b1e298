//go:build !receiver

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/ops/shell"
	"cdds/producers"
	"cdds/producers/importer"
	"cdds/schemas"
)

func newImport(s *session) *cobra.Command {
	var strict bool
	var rejects, names string
	cmd := &cobra.Command{
		Use:   "import interactions|contacts FILE...",
		Short: "Publish files of JSON Lines",
		Long: `Publish files of JSON Lines to the topic of interactions or contacts, in order. A file
may be plain, gzip or Zstandard, whatever its name; - is standard input.

A line that is not a valid event is refused; the others are published all the same.
The first refused lines are listed with their numbers and reasons, and --rejects writes
all of them to a file. The exit code is 3 if every line was refused; with --strict, if
any was. Importing a file again is safe: what is published twice is exported once.

--names genesys reads files with the field names of Genesys exports, alone or next to ours:
those of that product, and exports made with --names genesys. The published events have our names.

` + exitCodes,
		Example: examples(
			"cdds import interactions history.jsonl more.jsonl.gz",
			"cdds import contacts contacts.jsonl.zst --strict",
			"cdds import interactions history.jsonl --rejects rejects.jsonl",
			"cdds import interactions Interaction-4711.json --names genesys",
			"gunzip -c old.gz | jq -c .items[] | cdds import interactions -"),
		Args:      cobra.MinimumNArgs(2),
		ValidArgs: []string{"interactions", "contacts"},
		RunE: func(cmd *cobra.Command, args []string) error {
			topic := map[string]schemas.Topic{"interactions": schemas.TopicInteractions, "contacts": schemas.TopicContacts}[args[0]]
			if topic == "" {
				return neither(args[0])
			}
			if names != "" && !slices.Contains(schemas.NamesChoices(), names) {
				return usageError{fmt.Errorf("--names: %q is unknown; it must be %s", names, strings.Join(schemas.NamesChoices(), ", "))}
			}
			return s.withServices(func(services *services) error {
				reject, closeFile, err := rejectsTo(rejects)
				if err != nil {
					return err
				}
				report, err := s.importFiles(cmd.Context(), services, topic, names, args[1:], reject)
				return s.imported(report, errors.Join(err, closeFile()), strict)
			})
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 3 if any line was refused")
	cmd.Flags().StringVar(&names, "names", "", "`product` whose field names the lines have, alone or next to ours: genesys")
	_ = cmd.RegisterFlagCompletionFunc("names", cobra.FixedCompletions(schemas.NamesChoices(), cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&rejects, "rejects", "", "new `file` to write every refused line to, as JSON Lines of file, line, code and reason")
	return cmd
}

// rejectsTo returns what writes refused lines to a new file, and what completes it. An
// empty name writes nothing.
func rejectsTo(name string) (write func(importer.Refusal) error, done func() error, err error) {
	if name == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, usageError{fmt.Errorf("--rejects %s: the file exists; name a new one", name)}
	}
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--rejects: %w", err)}
	}
	w := bufio.NewWriter(f)
	return func(r importer.Refusal) error {
		line, err := schemas.Encode(r)
		if err == nil {
			_, err = w.Write(append(line, '\n'))
		}
		return err
	}, func() error { return errors.Join(w.Flush(), f.Close()) }, nil
}

// pingTimeout bounds the wait for a broker, so that a wrong address is reported at once
// and not after a record's delivery timeout.
const pingTimeout = 15 * time.Second

// importFiles publishes files of JSON Lines to topic, showing progress. names are another
// product's field names that the lines have. Refused lines go
// to reject, unless that is nil.
func (s *session) importFiles(ctx context.Context, services *services, topic schemas.Topic, names string, files []string, reject func(importer.Refusal) error) (importer.Report, error) {
	ping, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := services.client.Ping(ping); err != nil && ctx.Err() == nil {
		return importer.Report{}, unreachable(fmt.Errorf("kafka does not answer: %w", err))
	}
	publisher, err := producers.New(services.kafka, "cdds/import", nil)
	if err != nil {
		return importer.Report{}, err
	}
	defer publisher.Close()
	bar := s.newBar("importing", 0)
	report, err := importer.Import(ctx, importer.Options{
		Publisher: publisher, Topic: topic, Names: names, Files: files, Stdin: s.in, Progress: bar.set, Refused: reject,
	})
	bar.end(err)
	var failed *importer.PublishError
	var encoding *importer.EncodingError
	switch {
	case errors.As(err, &encoding):
		err = refused(withHint(err, "convert it first: "+shell.Command("iconv", "-f", encoding.Encoding, "-t", "UTF-8", encoding.File)))
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = refused(withHint(err, "make the topics with `cdds provision`"))
	case errors.As(err, &failed):
		err = unreachable(withHint(err, "import everything again once Kafka is well: nothing is stored twice"))
	case errors.Is(err, fs.ErrNotExist):
		err = refused(err)
	}
	return report, err
}

// imported reports what became of the lines.
func (s *session) imported(report importer.Report, err error, strict bool) error {
	if err != nil && report.Read == 0 {
		return err
	}
	switch {
	case err != nil:
	case report.Refused > 0 && report.Published == 0:
		err = refused(fmt.Errorf("nothing was published: %s refused", schemas.Counted(report.Refused, "line")))
	case report.Refused > 0 && strict:
		err = refused(fmt.Errorf("%s refused", schemas.Counted(report.Refused, "line")))
	}
	told := struct {
		importer.Report
		Error string `json:"error,omitempty"`
	}{Report: report}
	if err != nil {
		told.Error = err.Error()
	}
	wrote := s.result(told, func() {
		s.table([][]string{
			{"Read", schemas.Counted(report.Read, "line")},
			{"Published", schemas.Grouped(report.Published)},
			{"Refused", schemas.Grouped(report.Refused)},
		})
		for _, r := range report.Refusals {
			s.print("%s line %d: %s\n", r.File, r.Line, r.Reason)
		}
		if more := report.Refused - int64(len(report.Refusals)); more > 0 {
			s.print("and %s more; --rejects FILE writes all of them\n", schemas.Grouped(more))
		}
	})
	if err != nil {
		return errors.Join(wrote, jsonTold{err})
	}
	return wrote
}
