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
// does not depend on the machine.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
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
			fmt.Printf("    %+v\n", w.model.lineage())
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
					t.Fatalf("seed %d: after\n%s\nthe runs differ", at, strings.Join(first[max(0, i-15):min(i+1, len(first))], "\n"))
				}
			}
		}
	}
}

// transcript is all that happens in a history.
func transcript(t *testing.T, h history) (all []string) {
	o := play(t, h, func(w *world) {
		w.acted = func(a act) { all = append(all, fmt.Sprint(a)) }
		w.trace = func(c *call, err error) { all = append(all, fmt.Sprint(c.p.number, c.name, c.abandoned, err)) }
	})
	return append(all, o.broken)
}

func TestARecreatedAndTruncatedTopicWhoseRowsWereDroppedIsStoredAgain(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"i"}}, []act{
		{"make the topic again", 2, 0, 0},
		{"produce", 116, 0, 1},
		{"run", 814, 0, 0},
		{"wait", 2, 0, 0},
		{"produce", 0, 0, 1},
		{"run", 3, 0, 0},
		{"run", 817, 863, 0},
		{"truncate", 2, 0, 0},
		{"drop a year", 0, 0, 0},
		{"produce", 395, 0, 0},
		{"run", 561, 2, 0},
		{"start a process", 0, 0, 0},
		{"run", 0, 0, 0},
		{"run", 80, 0, 0},
		{"truncate", 2, 0, 0},
		{"produce", 662, 0, 0},
	}})
}

func TestNoPartHasOlderVersionsOfTheSameLengthAfterARestore(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"i", "e"}}, []act{
		{"produce", 200, 1, 0},
		{"run", 592, 0, 0},
		{"produce", 83, 2, 0},
		{"request an export", 0, 0, 0},
		{"run a job", 0, 0, 0},
		{"back ClickHouse up", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"run", 198, 0, 0},
		{"restore ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureDoesNotWaitForWhatKafkaLostUnread(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"fail calls", 0, 0, 5},
		{"erase", 0, 0, 0},
		{"produce", 0, 0, 0},
		{"run", 544, 2, 0},
		{"truncate", 0, 0, 0},
	}})
}

func TestAnErasureOfAReplacedTopicWaitsForWhatIsYetToBeStored(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 83, 1, 0},
		{"make the topic again", 1, 0, 1},
		{"produce", 784, 2, 0},
		{"erase", 1, 0, 0},
		{"produce without a key", 0, 0, 0},
		{"run", 81, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 29, 0, 0},
		{"produce", 0, 0, 1},
		{"truncate", 0, 1, 0},
	}})
}

func TestAnErasureKnowsWhatExportsChoseThoughClickHouseHasLostThat(t *testing.T) {
	replay(t, history{setting{Partitions: 2, Nameless: true, Erases: true, Processes: []string{"i", "e"}}, []act{
		{"run", 747, 1, 0},
		{"erase", 1, 0, 1},
		{"produce", 2, 0, 1},
		{"run", 544, 3, 0},
		{"fail calls", 0, 0, 0},
		{"wait", 0, 0, 0},
		{"start a process", 0, 0, 1},
		{"run a job", 0, 0, 0},
		{"run", 44, 0, 0},
		{"produce without a key", 0, 0, 0},
		{"cancel an export", 0, 0, 0},
		{"run a job", 1, 0, 0},
		{"produce", 1, 0, 1},
		{"run", 114, 0, 0},
		{"produce", 0, 0, 0},
		{"run", 43, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"start a process", 0, 0, 0},
	}})
}

func TestAnErasureNamesARunThatHasWhatIsLeftOfAnEarlierErasureOnceMore(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 83, 0, 0},
		{"erase", 1, 2, 0},
		{"wait", 54, 0, 0},
		{"produce", 1, 1, 0},
		{"erase", 1, 2, 0},
		{"run", 294, 0, 0},
		{"run a job", 1, 0, 0},
		{"produce", 839, 0, 0},
		{"run", 0, 0, 0},
		{"run a job", 1, 0, 0},
	}})
}

func TestNothingIsDecidedByWhatBrokersSayOfTwoTopics(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"e"}}, []act{
		{"produce", 0, 0, 0},
		{"run a job", 1, 0, 0},
		{"run", 112, 0, 0},
		{"make the topic again", 0, 0, 3},
		{"request an export", 1, 0, 1},
		{"begin a transaction", 0, 0, 0},
		{"rest", 0, 0, 0},
	}})
}

func TestWhatIngestRemembersOfAnErasureHidesNotWhatItNamed(t *testing.T) {
	replay(t, history{setting{Partitions: 3, Erases: true, Processes: []string{"i", "ie", "e"}}, []act{
		{"start a process", 0, 0, 1},
		{"produce", 5, 1, 1},
		{"truncate", 1, 0, 0},
		{"rest", 0, 0, 0},
		{"run a job", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"wait", 34, 0, 0},
		{"run", 206, 457, 0},
		{"erase", 0, 0, 1},
		{"produce", 1, 1, 0},
		{"run", 0, 1, 0},
		{"kill a process", 1, 0, 0},
		{"run", 327, 5, 0},
		{"produce without a key", 0, 1, 0},
		{"run", 465, 2, 0},
		{"run a job", 0, 0, 0},
		{"wait", 3, 0, 0},
		{"run", 890, 0, 0},
		{"run", 979, 0, 0},
		{"run", 80, 0, 0},
		{"run", 208, 0, 0},
		{"run", 348, 0, 0},
		{"run", 55, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"produce", 0, 0, 0},
		{"start a process", 0, 0, 2},
		{"run", 34, 649, 0},
	}})
}

func TestAnErasureWhoseRefusalClickHouseLostIsDoneOnceThereIsSomething(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 557, 0, 0},
		{"wait", 3, 0, 0},
		{"erase", 1, 2, 0},
		{"rest", 0, 0, 0},
		{"kill a process", 0, 0, 0},
		{"produce", 7, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureWhoseRequestIsLostMayHaveRemovedWhatItFound(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"i", "e"}}, []act{
		{"run", 834, 0, 0},
		{"request an export", 0, 0, 0},
		{"produce", 0, 0, 0},
		{"erase", 0, 2, 0},
		{"fail calls", 1, 0, 430},
		{"rest", 0, 0, 0},
		{"make the topic again", 0, 0, 1},
		{"produce", 344, 1, 0},
		{"run", 5, 345, 0},
		{"run", 43, 0, 0},
		{"wait", 2, 0, 0},
		{"run", 191, 0, 0},
		{"start a process", 0, 0, 1},
		{"run", 33, 0, 0},
		{"run", 200, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 200, 2, 0},
		{"move Kafka", 0, 0, 0},
	}})
}

func TestReceiversHearOfAnErasureThatFoundNothingAnyMore(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"produce", 87, 2, 0},
		{"run", 104, 0, 0},
		{"run a job", 1, 0, 0},
		{"erase", 1, 0, 1},
		{"run", 5, 0, 0},
		{"run", 353, 1, 0},
		{"request an export", 0, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 110, 288, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureThatIsDoneAndOfWhichClickHouseLostTheSubjectsIsCarriedOutAgain(t *testing.T) {
	replay(t, history{setting{Partitions: 3, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 832, 0, 0},
		{"run", 23, 0, 0},
		{"produce", 2, 0, 0},
		{"wait", 2, 0, 0},
		{"erase", 0, 1, 0},
		{"rest", 0, 0, 0},
		{"run", 3, 0, 0},
		{"run", 771, 0, 0},
		{"wait", 0, 0, 0},
		{"start a process", 0, 0, 2},
		{"run", 449, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"produce without a key", 0, 0, 2},
	}})
}

func TestAnErasureThatClickHouseLostBeforeIngestLookedStaysOne(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"produce", 175, 0, 0},
		{"rest", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"wait", 3, 0, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"rest", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureDoesNotNameAnExportThatLeftItsRowsOutForTheirAge(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"keep less history", 0, 0, 0},
		{"produce", 41, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 117, 0, 0},
		{"run", 50, 0, 0},
		{"erase", 0, 0, 1},
	}})
}

func TestARunThatIsRetriedDoesNotContinueOneWhoseRecordsWereWrittenOffMeanwhile(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"i", "ie", "e"}}, []act{
		{"run a job", 1, 0, 0},
		{"change a job", 1, 2, 0},
		{"produce", 227, 0, 0},
		{"run a job", 1, 0, 0},
		{"produce", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"retry an export", 0, 0, 0},
		{"run", 40, 0, 0},
		{"run", 336, 0, 0},
		{"run", 593, 0, 0},
		{"run", 757, 0, 0},
		{"drop a year", 0, 0, 0},
		{"make the topic again", 0, 0, 0},
	}})
}

func TestAnErasureThatIsHeldOutlivesClickHouse(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"produce", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"hold", 0, 1, 0},
		{"erase", 0, 1, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"rest", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureThatIsHeldAndABackupHasAsAcceptedIsCarriedOut(t *testing.T) {
	for run := range 40 {
		replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
			{"produce", 0, 0, 0},
			{"rest", 0, 0, 0},
			{"hold", 0, 1, 0},
			{"erase", 0, 1, 0},
			{"run", 5 * run, 0, 0},
			{"back ClickHouse up", 0, 0, 0},
			{"rest", 0, 0, 0},
			{"wait", 2, 0, 0},
			{"rest", 0, 0, 0},
			{"restore ClickHouse", 0, 0, 0},
		}})
	}
}

func TestNoObjectOfWhatWasErasedStaysThoughClickHouseIsLostMeanwhile(t *testing.T) {
	for run := range 20 { // among them that between finding it and looking for its objects
		replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
			{"produce", 0, 3, 0},
			{"rest", 0, 0, 0},
			{"erase", 0, 1, 0},
			{"run", 119, 0, 0},
			{"run", 10 + run, 0, 0},
			{"lose ClickHouse", 0, 0, 0},
		}})
	}
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
