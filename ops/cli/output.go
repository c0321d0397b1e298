package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"cdds/schemas"
)

// result writes what a command did: an object on one line with --json, otherwise
// what text writes.
func (s *session) result(v any, text func()) error {
	if !s.json {
		text()
		return nil
	}
	line, err := schemas.Encode(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", line)
	return err
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
