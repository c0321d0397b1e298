// Command budget compares the hot paths of this tree with those of another commit, and
// fails if one of them costs more than budget.json allows.
//
//	go run ./ops/proof/budget --against HEAD~1 --rounds 6
//
// It builds the benchmarks of both, runs them in turn (A B A B ...) on the same machine,
// and compares the least of each side: what else the machine does can only add to a run.
// Nothing is compared with figures of another day or another processor, so it needs no
// quiet machine; it takes some minutes, and no build waits for it.
package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"cdds/schemas"
)

//go:embed budget.json
var budget []byte

// line is one line of the budget: what a benchmark may report against the other commit.
type line struct {
	Package   string `json:"package"`
	Benchmark string `json:"benchmark"`
	Unit      string `json:"unit"`
	// Ratio is the most that this tree may need of what the other needs.
	Ratio float64 `json:"ratio"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "budget:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("budget", flag.ContinueOnError)
	against := flags.String("against", "HEAD~1", "the `commit` to compare with")
	rounds := flags.Int("rounds", 6, "how often each side runs")
	time := flags.String("time", "1s", "how long a benchmark runs each time")
	only := flags.String("only", "", "compare only benchmarks whose name has this `text`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lines, err := read(budget)
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, func(l line) bool { return !strings.Contains(l.Benchmark, *only) })
	dir, err := os.MkdirTemp("", "budget-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	other := filepath.Join(dir, "other")
	if err := command(ctx, ".", "git", "worktree", "add", "--detach", other, *against); err != nil {
		return err
	}
	defer func() {
		_ = command(context.WithoutCancel(ctx), ".", "git", "worktree", "remove", "--force", other)
	}()
	sides := []side{{"this tree", ".", results{}}, {*against, other, results{}}}
	binaries := map[string]string{}
	for n, s := range sides {
		for _, l := range lines {
			file := filepath.Join(dir, fmt.Sprintf("%d-%s.test", n, strings.ReplaceAll(l.Package, "/", "-")))
			if key := s.tree + l.Package; binaries[key] == "" {
				binaries[key] = file
				if err := command(ctx, s.tree, "go", "test", "-c", "-o", file, "./"+l.Package); err != nil {
					return err
				}
			}
		}
	}
	for n := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", n+1, *rounds)
		for _, name := range benchmarks(lines) {
			for i := range sides {
				s := sides[(i+n)%len(sides)] // neither is always the first
				out, err := bench(ctx, filepath.Join(s.tree, name.pkg), binaries[s.tree+name.pkg], name.benchmark, *time)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", name.benchmark, s.name, err)
				}
				s.results.add(name.benchmark, out)
			}
		}
	}
	return judge(lines, sides[0].results, sides[1].results, *against)
}

// read reads a budget.
func read(b []byte) ([]line, error) {
	var all struct {
		Lines []line `json:"lines"`
	}
	if err := schemas.ReadKnown(fmt.Appendf(nil, `{"lines":%s}`, b), &all); err != nil {
		return nil, fmt.Errorf("budget.json: %w", err)
	}
	for _, l := range all.Lines {
		if l.Package == "" || l.Benchmark == "" || l.Unit == "" || l.Ratio < 1 {
			return nil, fmt.Errorf("budget.json: %+v is not a line of package, benchmark, unit and a ratio of at least 1", l)
		}
	}
	return all.Lines, nil
}

// side is a tree and what its benchmarks reported.
type side struct {
	name, tree string
	results    results
}

// results are the least values by benchmark and unit.
type results map[[2]string]float64

// add takes note of the lines that a benchmark printed.
func (r results) add(benchmark string, out []byte) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || strings.TrimSuffix(fields[0], fmt.Sprint("-", runtime.GOMAXPROCS(0))) != benchmark {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if key := [2]string{benchmark, fields[i+1]}; err == nil {
				if least, known := r[key]; !known || value < least {
					r[key] = value
				}
			}
		}
	}
}

type named struct{ pkg, benchmark string }

// benchmarks are those of the budget, each once.
func benchmarks(lines []line) (all []named) {
	for _, l := range lines {
		if n := (named{l.Package, l.Benchmark}); !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// bench runs one benchmark. A tree that does not have it prints nothing.
func bench(ctx context.Context, dir, binary, name, time string) ([]byte, error) {
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", time, "-test.benchmem")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	return cmd.Output()
}

// judge prints the budget with what came of it; its error says which lines were exceeded.
func judge(lines []line, ours, others results, against string) error {
	var failed []error
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "benchmark\tunit\tthis tree\t%s\tratio\tat most\n", against)
	for _, l := range lines {
		key := [2]string{l.Benchmark, l.Unit}
		our, known := ours[key]
		if !known {
			failed = append(failed, fmt.Errorf("%s of ./%s reports no %s", l.Benchmark, l.Package, l.Unit))
			continue
		}
		other, known := others[key]
		if !known {
			fmt.Fprintf(w, "%s\t%s\t%.4g\tnot there\t\t%.2f\n", l.Benchmark, l.Unit, our, l.Ratio)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t%.2f\t%.2f\n", l.Benchmark, l.Unit, our, other, our/other, l.Ratio)
		if our > l.Ratio*other {
			failed = append(failed, fmt.Errorf("%s: %.4g %s against %.4g, %.2f times; the budget is %.2f", l.Benchmark, our, l.Unit, other, our/other, l.Ratio))
		}
	}
	return errors.Join(w.Flush(), errors.Join(failed...))
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
