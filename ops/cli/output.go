package cli

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

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
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

// say tells a person what goes on, on stderr, so that stdout stays for results.
func (s *session) say(format string, args ...any) {
	if !s.quiet && !s.json {
		fmt.Fprintf(s.err, format+"\n", args...)
	}
}

// interactive reports whether progress bars make sense.
func (s *session) interactive() bool {
	f, ok := s.err.(*os.File)
	return ok && !s.quiet && !s.json && term.IsTerminal(int(f.Fd()))
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
	p := mpb.New(mpb.WithOutput(s.err), mpb.WithWidth(40), mpb.WithRefreshRate(120*time.Millisecond))
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
