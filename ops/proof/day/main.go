// Command day runs a day of an operator and checks that nothing is lost and that every
// trouble is reported.
//
// It has a Kafka with TLS and passwords, a ClickHouse and an S3 behind TLS, all on
// loopback, a Prometheus with the project's rules where it is installed, and CDDS in
// processes of its own. It installs CDDS, upgrades it, takes away each service for a
// while, rotates every secret and certificate, adds a replica and fires an
// administrator. A producer publishes all the while. After each step it asks cdds doctor
// and the alerts, makes an export, and at the end decrypts everything and compares it with what
// Kafka acknowledged.
//
//	go run ./ops/proof/day --bin bin/cdds --outage 20s
//
// Rules count minutes; here a minute lasts --minute. It prints what doctor and the alerts
// said of each step, and exits 1 if something was lost or went unreported; data and logs
// are left behind then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"cdds/ops/stack"
)

func main() {
	if code, child := stack.ChildMain(os.Args[1:]); child {
		os.Exit(code)
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread that started a process ends
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "day:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	// before is the binary that is installed first, and binary the one it is upgraded to.
	before, binary string
	// outage is how long a service is away, at least.
	outage time.Duration
	// minute is how long a minute of the rules lasts.
	minute time.Duration
	dir    string
}

func run(ctx context.Context, args []string) (err error) {
	var o options
	flags := flag.NewFlagSet("day", flag.ContinueOnError)
	flags.StringVar(&o.binary, "bin", "bin/cdds", "the cdds binary")
	flags.StringVar(&o.before, "before", "", "the binary of the release before, to upgrade from (default: the same)")
	flags.DurationVar(&o.outage, "outage", 20*time.Second, "how long each service is away, at least; 5m for the whole thing")
	flags.DurationVar(&o.minute, "minute", 2*time.Second, "how long a minute of the alerts' rules lasts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.before == "" {
		o.before = o.binary
	}
	for _, binary := range []*string{&o.binary, &o.before} {
		if *binary, err = filepath.Abs(*binary); err != nil {
			return err
		}
		if _, err := os.Stat(*binary); err != nil {
			return fmt.Errorf("%w; `make build` makes it", err)
		}
	}
	if o.dir, err = os.MkdirTemp("", "cdds-day-"); err != nil {
		return err
	}
	began := time.Now()
	fmt.Printf("a service is away for %s at least, a minute of the rules lasts %s, data in %s\n", o.outage, o.minute, o.dir)
	d, err := begin(ctx, o)
	if err == nil {
		err = d.steps(ctx)
	}
	if d != nil {
		err = errors.Join(err, d.close())
	}
	if err != nil {
		return fmt.Errorf("%w; data and logs are left in %s", err, o.dir)
	}
	fmt.Printf("nothing was lost and everything was reported, in %s\n", time.Since(began).Round(time.Second))
	return os.RemoveAll(o.dir)
}
