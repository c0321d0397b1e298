package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"go.yaml.in/yaml/v4"

	"cdds/ops/spreadsheet"
	"cdds/schemas"
)

// Forms of output.
const (
	formTable = "table"
	formJSON  = "json"
	formYAML  = "yaml"
	formCSV   = "csv"
	formJSONL = "jsonl"
)

// chooseForm reads --output and --json.
func (s *session) chooseForm(cmd *cobra.Command) error {
	if s.json && s.form != formTable && s.form != formJSON {
		return usageError{fmt.Errorf("--json and --output %s exclude each other", s.form)}
	}
	switch s.form {
	case formTable, formYAML:
	case formJSON:
		s.json = true
	case formCSV, formJSONL:
		if _, ok := cmd.Annotations[listing]; !ok {
			return usageError{fmt.Errorf("--output %s needs a list, which %s does not print; choose table, json or yaml", s.form, cmd.CommandPath())}
		}
	default:
		return usageError{fmt.Errorf("--output %s must be table, json, yaml, csv or jsonl", s.form)}
	}
	return nil
}

// listing marks a command that lists things of one kind, which it shows with list.
const listing = "list"

// lists marks a command as one that calls list.
func lists(cmd *cobra.Command) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[listing] = ""
	return cmd
}

// list writes things of one kind: v for scripts, rows, whose first is the heading, for
// people and spreadsheets. Where there are none, people read none instead. The things are
// the one member of v that is a list.
func (s *session) list(v any, rows [][]string, none string) error {
	switch s.form {
	case formCSV:
		return s.csv(rows)
	case formJSONL:
		return s.jsonl(v)
	}
	return s.result(v, func() {
		if len(rows) == 1 && none != "" {
			s.print("%s\n", none)
			return
		}
		s.table(rows)
	})
}

// jsonl writes the things of a list as JSON Lines, whole, each on a line.
func (s *session) jsonl(v any) error {
	encoded, err := schemas.Encode(v)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := schemas.Read(encoded, &members); err != nil {
		return err
	}
	for _, member := range members {
		var things []json.RawMessage
		if schemas.Read(member, &things) != nil {
			continue
		}
		for _, thing := range things {
			if _, err := fmt.Fprintf(s.out, "%s\n", thing); err != nil {
				return err
			}
		}
	}
	return nil
}

// csv writes rows as RFC 4180 has them, each on a line.
func (s *session) csv(rows [][]string) error {
	w := spreadsheet.New(s.out)
	for n, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if n == 0 {
				cell = strings.ReplaceAll(strings.ToLower(cell), " ", "_")
			}
			cells[i] = oneLine(cell)
		}
		if err := w.Write(cells...); err != nil {
			return err
		}
	}
	return w.Flush()
}

// count is a number for people with groups of digits, for spreadsheets without.
func (s *session) count(n int64) string {
	if s.form == formCSV {
		return strconv.FormatInt(n, 10)
	}
	return schemas.Grouped(n)
}

// bytes is a size for people, for spreadsheets in bytes.
func (s *session) bytes(n int64) string {
	if s.form == formCSV {
		return strconv.FormatInt(n, 10)
	}
	return size(n)
}

// result writes what a command did: an object on one line with --json, the same as YAML
// with --output yaml, otherwise what text writes.
func (s *session) result(v any, text func()) error {
	if !s.json && s.form != formYAML {
		text()
		return nil
	}
	line, err := schemas.Encode(v)
	if err != nil {
		return err
	}
	if s.form == formYAML {
		return s.yaml(line)
	}
	_, err = fmt.Fprintf(s.out, "%s\n", line)
	return err
}

// yaml writes a JSON document as YAML, members in the same order.
func (s *session) yaml(document []byte) error {
	var node yaml.Node
	if err := yaml.Unmarshal(document, &node); err != nil { // JSON is YAML
		return err
	}
	plain(&node)
	w := yaml.NewEncoder(s.out)
	w.SetIndent(2)
	return errors.Join(w.Encode(&node), w.Close())
}

// plain lays a document out in blocks, and quotes only what needs it.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, below := range n.Content {
		plain(below)
	}
}

// table writes rows in columns; the first row is the heading.
func (s *session) table(rows [][]string) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for n, cell := range row {
			cells[n] = oneLine(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	_ = w.Flush()
}

// print writes a result for people. The lines are those of format: a text among args stays
// on its line.
func (s *session) print(format string, args ...any) {
	fmt.Fprintf(s.out, format, onOneLine(args)...)
}

// say tells a person what goes on, on stderr, so that stdout stays for results.
func (s *session) say(format string, args ...any) {
	if !s.quiet && !s.json {
		fmt.Fprintf(s.err, format+"\n", onOneLine(args)...)
	}
}

func onOneLine(args []any) []any {
	lines := make([]any, len(args))
	for n, arg := range args {
		switch a := arg.(type) {
		case error, fmt.Stringer:
			lines[n] = oneLine(fmt.Sprint(a))
		case string:
			lines[n] = oneLine(a)
		default:
			lines[n] = arg
		}
	}
	return lines
}

// interactive reports whether progress bars make sense.
func (s *session) interactive() bool {
	return !s.quiet && !s.json && s.err.isTerminal()
}

// bar is a progress bar with rate and time left; without a terminal it does nothing.
type bar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
}

// newBar returns a bar up to total bytes; total may be set later by set.
func (s *session) newBar(name string, total int64) *bar {
	if !s.interactive() {
		return &bar{}
	}
	p := mpb.New(mpb.WithOutput(s.err.Writer), mpb.WithWidth(40), mpb.WithRefreshRate(120*time.Millisecond))
	return &bar{p, p.AddBar(total,
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersKibiByte("% .1f / % .1f")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))}
}

// set moves the bar to done of total bytes.
func (b *bar) set(done, total int64) {
	if b.bar != nil {
		b.bar.SetTotal(total, false)
		b.bar.SetCurrent(done)
	}
}

// end completes the bar, or leaves it where it is after an error.
func (b *bar) end(err error) {
	if b.bar == nil {
		return
	}
	if err != nil {
		b.bar.Abort(false)
	} else {
		b.bar.SetTotal(-1, true)
	}
	b.progress.Wait()
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
