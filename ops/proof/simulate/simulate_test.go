package simulate

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	lasts = flag.Duration("for", 2*time.Second, "how long to simulate")
	seed  = flag.Uint64("seed", 1, "the first seed; 0: a new one")
	tasks = flag.Int("tasks", 1, "how many processes simulate, each on one core")
	step  = flag.Uint64("step", 1, "the distance between seeds")
	small = flag.Bool("shrink", true, "make a history that breaks a law small")
	show  = flag.Bool("show", false, "print what happens in a history that breaks a law")
)

// TestMain limits Go to one processor. Goroutines then run one at a time, in an order that
// does not depend on the machine. A history leaves much behind and little lives on: garbage
// is collected less often.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(400)
	if *seed == 0 {
		*seed = uint64(time.Now().Unix()) * 1_000_000
	}
	os.Exit(m.Run())
}

func TestHistories(t *testing.T) {
	if *tasks > 1 {
		simulateInTasks(t)
		return
	}
	began := time.Now()
	var done tally
	happened := map[string]int{}
	for at := *seed; time.Since(began) < *lasts; at += *step {
		o := play(t, generate(at), nil)
		done.histories++
		done.steps += o.steps
		for what, n := range o.coverage {
			happened[what] += n
		}
		if o.broken != "" {
			t.Errorf("seed %d, history %d, act %d: %s", at, done.histories, o.act, o.broken)
			if !*small {
				return
			}
			least := shrink(t, generate(at), o)
			o := play(t, least, watching)
			t.Fatalf("%s\n%s", o.broken, least)
		}
	}
	if *show {
		for _, what := range slices.Sorted(maps.Keys(happened)) {
			t.Logf("%6d  %s", happened[what], what)
		}
	}
	t.Logf("%v, seeds %d to %d, %v", done, *seed, *seed+uint64(done.histories-1)**step, time.Since(began).Round(time.Second))
}

// tally counts what was simulated.
type tally struct{ histories, steps int }

const tallied = "%d histories, %d steps"

func (d tally) String() string { return fmt.Sprintf(tallied, d.histories, d.steps) }

// simulateInTasks shares the seeds between processes: each has one processor, see TestMain.
func simulateInTasks(t *testing.T) {
	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all tally
	var mu sync.Mutex
	var running sync.WaitGroup
	for n := range *tasks {
		running.Go(func() {
			task := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHistories$", "-test.v", "-test.timeout=0",
				"-for", lasts.String(), "-step", strconv.Itoa(*tasks), "-seed", strconv.FormatUint(*seed+uint64(n), 10))
			printed, err := task.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && ctx.Err() == nil:
				stop() // the others need not go on
				t.Errorf("%v\n%s", err, printed)
				return
			case err != nil:
				return
			}
			for lines := bufio.NewScanner(bytes.NewReader(printed)); lines.Scan(); {
				var d tally
				if _, found, _ := strings.Cut(lines.Text(), ".go:"); found != "" {
					_, result, _ := strings.Cut(found, ": ")
					if n, _ := fmt.Sscanf(result, tallied, &d.histories, &d.steps); n == 2 {
						all.histories, all.steps = all.histories+d.histories, all.steps+d.steps
					}
				}
			}
		})
	}
	running.Wait()
	if all.histories == 0 && !t.Failed() {
		t.Error("nothing was simulated")
	}
	verdict := "no law broken"
	if t.Failed() {
		verdict = "a law was broken"
	}
	t.Logf("%v in %d tasks, from seed %d, %v, %s", all, *tasks, *seed, time.Since(began).Round(time.Second), verdict)
}

// watching prints what happens, if -show is set.
func watching(w *world) {
	if !*show {
		return
	}
	w.acted = func(a act) { fmt.Printf("--- %s %d %d %d\n", a.Rule, a.A, a.B, a.C) }
	w.trace = func(c *call, err error) {
		late := ""
		if c.abandoned {
			late = " (late)"
		}
		fmt.Printf("  p%d %s: %s%s -> %v\n", c.p.number, c.service, c.name, late, err)
		if strings.Contains(c.name, "put _cdds") && err == nil {
			fmt.Printf("    %+v\n", w.model.lineages)
		}
	}
}

// replay runs a history that broke a law once: what TestHistories prints calls it.
func replay(t *testing.T, h history) {
	t.Helper()
	if o := play(t, h, watching); o.broken != "" {
		t.Errorf("act %d: %s", o.act, o.broken)
	}
}

func TestASeedIsOneHistory(t *testing.T) {
	for at := *seed; at < *seed+25; at++ {
		var first []string
		for n := range 3 {
			all := transcript(t, generate(at))
			if n == 0 {
				first = all
				continue
			}
			for i := range max(len(first), len(all)) {
				if i >= min(len(first), len(all)) || first[i] != all[i] {
					t.Fatalf("seed %d: after\n%s\nthe runs differ: %s and %s come next", at, strings.Join(first[max(0, i-15):min(i, len(first))], "\n"), next(first, i), next(all, i))
				}
			}
		}
	}
}

// next is what happens at a place of a transcript.
func next(transcript []string, at int) string {
	if at < len(transcript) {
		return transcript[at]
	}
	return "the end"
}

// transcript is all that happens in a history.
func transcript(t *testing.T, h history) (all []string) {
	o := play(t, h, func(w *world) {
		w.acted = func(a act) { all = append(all, fmt.Sprint(a)) }
		w.trace = func(c *call, err error) { all = append(all, fmt.Sprint(c.p.number, c.name, c.abandoned, err)) }
	})
	return append(all, o.broken)
}

func TestAHistoryThatBreaksALawIsShrunk(t *testing.T) {
	h := generate(3)
	h.Acts = append(h.Acts, act{"produce", 999, 999, 999})
	broken := func(w *world) {
		w.acted = func(a act) {
			if a.Rule == "produce" && a.A > 500 {
				w.failf("a made-up law")
			}
		}
	}
	small := shrinkWith(t, h, play(t, h, broken), broken)
	if len(small.Acts) != 1 || small.Acts[0].Rule != "produce" || small.Acts[0].B != 0 || len(small.Processes) != 1 {
		t.Errorf("shrunk to %s", small)
	}
}
