// Command mutation takes the mechanism behind each promise away, one at a time, and runs
// the test that must fail then. A test that passes without what it is about proves nothing.
//
// The source is not touched: the compiler is shown another file in its place (go help
// build, -overlay). A mutation whose test passes has survived, and the command exits 1.
//
//	go run ./ops/proof/mutation              # all of them
//	go run ./ops/proof/mutation -only cancel # those with the word in promise, mechanism or test
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// testTimeout bounds one test: a promise that is broken often shows as a wait.
const testTimeout = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	survived, err := mutate(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	case survived > 0:
		os.Exit(1)
	}
}

func mutate(ctx context.Context, args []string) (survived int, err error) {
	flags := flag.NewFlagSet("mutation", flag.ContinueOnError)
	only := flags.String("only", "", "only mutations with this `word` in their promise, mechanism or test")
	parallel := flags.Int("parallel", runtime.GOMAXPROCS(0), "how many at once")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	top, err := filepath.Abs(".")
	if err != nil {
		return 0, err
	}
	var chosen []mutation
	for _, m := range slices.Concat(mutations, perimeter, faults, hidden, quotas, erasing) {
		if strings.Contains(strings.ToLower(m.promise+" "+m.removed+" "+m.test), strings.ToLower(*only)) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return 0, fmt.Errorf("no mutation has the word %q", *only)
	}
	began := time.Now()
	outcomes := make([]outcome, len(chosen))
	var group errgroup.Group
	group.SetLimit(*parallel)
	printed := make(chan struct{}, 1)
	for i, m := range chosen {
		group.Go(func() error {
			outcomes[i] = m.try(ctx, top)
			printed <- struct{}{}
			fmt.Println(outcomes[i])
			<-printed
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	for _, o := range outcomes {
		switch {
		case o.err != nil:
			err = errors.Join(err, o.err)
		case !o.failed:
			survived++
		}
	}
	if err != nil {
		return survived, err
	}
	fmt.Printf("\n%d mechanisms removed, %d noticed, %d survived, in %s\n", len(chosen), len(chosen)-survived, survived, time.Since(began).Round(time.Second))
	return survived, nil
}

// mutation is a mechanism and what stands in its place when it is removed.
type mutation struct {
	// promise it serves, as in ops/docs/guarantees.md; removed says what is taken away.
	promise, removed string
	// file has text exactly once, which becomes instead.
	file, text, instead string
	// pkg has the test that must fail.
	pkg, test string
}

// outcome of a mutation: whether its test failed, or why that is unknown.
type outcome struct {
	mutation
	failed bool
	took   time.Duration
	err    error
	// found is the line that says how the test, or the simulator, found it.
	found string
}

func (o outcome) String() string {
	verdict := "noticed "
	if !o.failed {
		verdict = "SURVIVED"
	}
	if o.err != nil {
		verdict = "ERROR   "
	}
	text := fmt.Sprintf("%s  %-12s %s\n%23s%s, %s", verdict, o.promise, o.removed, "", o.test, o.took.Round(100*time.Millisecond))
	if o.found != "" {
		text += fmt.Sprintf("\n%23s%s", "", o.found)
	}
	return text
}

// mutated is the file without the mechanism.
func (m mutation) mutated(top string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(top, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.text)); n != 1 {
		return nil, fmt.Errorf("%s (%s): %s has the text %q %d times; it must have it once", m.promise, m.removed, m.file, m.text, n)
	}
	return bytes.Replace(source, []byte(m.text), []byte(m.instead), 1), nil
}

// try runs the test without the mechanism.
func (m mutation) try(ctx context.Context, top string) (o outcome) {
	o.mutation = m
	began := time.Now()
	defer func() { o.took = time.Since(began) }()
	source, err := m.mutated(top)
	if err != nil {
		o.err = err
		return o
	}
	dir, err := os.MkdirTemp("", "cdds-mutation-")
	if err != nil {
		o.err = err
		return o
	}
	defer func() { _ = os.RemoveAll(dir) }()
	other, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(top, m.file): other}})
	if err = errors.Join(err, os.WriteFile(other, source, 0o600), os.WriteFile(overlay, replaced, 0o600)); err != nil {
		o.err = err
		return o
	}
	args := []string{"test", "-overlay", overlay, "-timeout", testTimeout.String(), "-run", "^" + m.test + "$", "./" + m.pkg}
	if m.pkg == simulator {
		args = append(args, simulated...)
	}
	test := exec.CommandContext(ctx, "go", args...)
	test.Dir = top
	test.Cancel = func() error { return test.Process.Signal(os.Interrupt) }
	test.WaitDelay = 20 * time.Second
	printed, err := test.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		o.err = ctx.Err()
	case bytes.Contains(printed, []byte("--- FAIL: "+m.test)), bytes.Contains(printed, []byte("panic: ")):
		o.failed = true // a wait that never ends is a panic of go test
		o.found = cmp.Or(history.FindString(string(printed)), strings.TrimSpace(complaint.FindString(string(printed))))
	case bytes.Contains(printed, []byte("no tests to run")):
		o.err = fmt.Errorf("%s has no test %s", m.pkg, m.test)
	case bytes.Contains(printed, []byte("--- SKIP: ")):
		o.err = fmt.Errorf("%s was skipped:\n%s", m.test, printed)
	case err != nil:
		o.err = fmt.Errorf("%s (%s): %w:\n%s", m.promise, m.removed, err, printed)
	}
	return o
}
