// Command chaos breaks CDDS on purpose and checks that its promises hold.
//
// It runs the embedded stack and every role as a process of its own, produces, updates,
// duplicates, garbles, erases, requests, cancels, retries and deletes, lets artifacts
// expire, and all the while kills, pauses and restarts roles and services at random
// points. Then it stops the faults, waits for quiet, and checks every law from outside:
// what Kafka holds against what ClickHouse holds, and every export's manifest against the
// objects in S3, the history, and a model of what was acknowledged; decrypted, and line
// by line.
//
//	go run ./ops/proof/chaos --bin bin/cdds --for 3m
//
// It prints the seed, the faults by kind, the laws checked and every violation. The
// seed repeats the choice of faults and work; when they strike depends on the
// machine. It exits 1 if a law is broken, and leaves data and logs behind then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"cdds/ops/stack"
)

func main() {
	if code, child := stack.ChildMain(os.Args[1:]); child {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	holds, err := chaos(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	case !holds:
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	seed uint64
	run  time.Duration
	// gap is the mean time between faults.
	gap    time.Duration
	binary string
}

// quietWithin bounds the wait for quiet after the last fault.
const quietWithin = 4 * time.Minute

func chaos(ctx context.Context, args []string) (holds bool, err error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 0, "repeat the faults and the work of an earlier run; 0 takes a fresh seed")
	flags.DurationVar(&o.run, "for", 3*time.Minute, "how long to inject faults")
	flags.DurationVar(&o.gap, "gap", 2500*time.Millisecond, "mean time between faults")
	flags.StringVar(&o.binary, "bin", "bin/cdds", "the cdds binary to run roles with")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return false, err
	}
	if _, err := os.Stat(o.binary); err != nil {
		return false, fmt.Errorf("%w; `make build` makes it", err)
	}
	dir, err := os.MkdirTemp("", "cdds-chaos-")
	if err != nil {
		return false, err
	}
	fmt.Printf("seed %d, faults for %s, data in %s\n", o.seed, o.run, dir)
	r, err := trial(ctx, o, dir)
	if err != nil {
		return false, fmt.Errorf("the trial itself failed (seed %d, data in %s): %w", o.seed, dir, err)
	}
	r.print(o)
	if len(r.violations) > 0 {
		fmt.Printf("data and logs are left in %s\n", dir)
		return false, nil
	}
	return true, os.RemoveAll(dir)
}

// trial is one run: work under faults, quiet, laws.
func trial(ctx context.Context, o options, dir string) (_ *report, err error) {
	r := newReport()
	s, err := startSystem(ctx, o, dir, r)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	w, err := newWorkload(s, r, o.seed)
	if err != nil {
		return r, err
	}
	defer w.close()

	faulty, stop := context.WithTimeout(ctx, o.run)
	defer stop()
	working := make(chan struct{})
	go func() {
		defer close(working)
		w.run(faulty)
	}()
	inject(faulty, s, o, r)
	<-working
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	fmt.Printf("faults are over: %d; waiting for quiet\n", r.faulted())
	quiet, cancel := context.WithTimeout(ctx, quietWithin)
	defer cancel()
	began := time.Now()
	if err := s.local.Stack.Healthy(quiet); err != nil {
		r.violated("the services recover alone", "%v", err)
		return r, nil
	}
	c := &checker{system: s, work: w, report: r}
	c.awaitQuiet(quiet)
	fmt.Printf("quiet after %s; checking\n", time.Since(began).Round(time.Second))
	return r, c.check(ctx)
}
