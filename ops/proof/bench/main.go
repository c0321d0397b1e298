// Command bench measures CDDS against what people would use instead.
//
// Every figure is a ratio of two things done in turn (A B A B ...) in one run on one
// machine: the same rows, the same engine, the same broker, the same store. It runs
// the embedded stack in a process of its own and each role in another, so that CPU
// and memory are those of the role alone.
//
//	go run ./ops/proof/bench --bin bin/cdds --rows 1000000 --runs 3
//
// It prints a table, and with --out writes benchmarks.json, benchmarks.md and the
// plot the page shows. A figure that could not be measured here is said to be missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	// binary is cdds.
	binary string
	// rows is how many interactions are exported and ingested.
	rows int
	// runs is how often each alternative is measured.
	runs int
	// only names the suites to run; empty means all.
	only []string
	// sizes are the row counts of the scale suite.
	sizes []int
	// texts is a file of interactions (JSON Lines, gzip) whose texts are used; empty
	// means generated texts.
	texts string
	// sink is Bento, to compare ingest with; empty means not.
	sink string
	// out is where the report goes; empty means nowhere.
	out string
	// profiles is where CPU profiles of ingest and worker go; empty means nowhere.
	profiles string
	// dir holds the stack's data.
	dir string
}

// suites in the order in which they run: what fills the tables comes first. README.md and
// ops/docs/performance.md name them.
var suites = []suite{
	{"ingest", ingest},
	{"export", export},
	{"stages", stages},
	{"latency", latency},
	{"scale", scale},
	{"few", few},
	{"erase", erase},
}

type suite struct {
	name string
	run  func(context.Context, *run) error
}

// suiteNames are the suites, comma-separated.
func suiteNames() string {
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// run is one run of the benchmarks.
type run struct {
	options
	system *system
	texts  []string
	report *report
	// contacts is over how many contacts interactions are spread evenly; 0 leaves them as
	// they are generated.
	contacts int
}

func bench(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r := &run{options: o, report: &report{}}
	if r.texts, err = readTexts(o.texts); err != nil {
		return err
	}
	if r.dir, err = os.MkdirTemp(o.dir, "bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.dir) }()
	if err := r.report.describe(r); err != nil {
		return err
	}
	for _, s := range suites {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		say("== %s", s.name)
		// Each suite has a stack of its own: what one leaves behind is not the next one's.
		if err := r.withSystem(ctx, s.run); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := r.report.write(o.out); err != nil {
			return err
		}
	}
	fmt.Print(r.report.table())
	return nil
}

func parse(args []string) (options, error) {
	o := options{sizes: []int{10_000, 100_000, 1_000_000}}
	var only, sizes string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.binary, "bin", "bin/cdds", "the cdds `binary`")
	flags.IntVar(&o.rows, "rows", 1_000_000, "interactions to export and to ingest")
	flags.IntVar(&o.runs, "runs", 3, "how often each alternative is measured")
	flags.StringVar(&only, "only", "", "comma-separated `suites` to run instead of all: "+suiteNames())
	flags.StringVar(&sizes, "sizes", "", "comma-separated row counts of the scale suite (default 10000,100000,1000000)")
	flags.StringVar(&o.texts, "texts", os.Getenv("CDDS_BENCH_TEXTS"), "interactions (JSON Lines, gzip) whose texts are used instead of generated ones")
	flags.StringVar(&o.sink, "bento", "", "Bento's `binary`, to compare ingest with it too (ops/tools/bento builds one)")
	flags.StringVar(&o.out, "out", "", "`directory` for benchmarks.json, benchmarks.md and the plot")
	flags.StringVar(&o.profiles, "profiles", "", "`directory` for CPU profiles of ingest and worker")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the stack's data (default: the system's temporary one)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.name == name }) {
			return o, fmt.Errorf("--only: there is no suite %q; there are %s", name, suiteNames())
		}
	}
	if sizes != "" {
		o.sizes = nil
		for _, s := range strings.Split(sizes, ",") {
			var n int
			if _, err := fmt.Sscan(s, &n); err != nil || n < 1 {
				return o, fmt.Errorf("--sizes: %q is no number of rows", s)
			}
			o.sizes = append(o.sizes, n)
		}
	}
	if o.rows < 1 || o.runs < 1 {
		return o, errors.New("--rows and --runs must be positive")
	}
	var err error
	o.binary, err = filepath.Abs(o.binary)
	return o, err
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
