package copies

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cdds/pipeline/mirror/mirrortest"
	"cdds/schemas"
)

var (
	rows    = flag.Int("rows", 20_000, "of the first run of a benchmark")
	changes = flag.Int("changes", 1_000, "of its second run, a tenth of them removals")
)

// BenchmarkCopies syncs a run that holds everything into each kind of copy, then one with
// changes, and says how many rows a second that is and what the process needed at most:
//
//	go test ./ops/proof/copies -run - -bench Copies -benchtime 1x -rows 1000000 -changes 10000
func BenchmarkCopies(b *testing.B) {
	dir, args := b.TempDir(), keys(b)
	first, second := chainOfTwo(b)
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			b.Fatal(err)
		}
	}
	move(first, filepath.Join(dir, "1"))
	for kind, at := range kinds {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				p := at(b, b.TempDir())
				took, peak := measured(b, dir, p, args)
				b.ReportMetric(float64(*rows)/took.Seconds(), "rows/s")
				b.ReportMetric(peak, "MiB-peak")
				move(second, filepath.Join(dir, "2"))
				took, peak = measured(b, dir, p, args)
				move(filepath.Join(dir, "2"), second)
				b.ReportMetric(took.Seconds(), "s-changes")
				b.ReportMetric(peak, "MiB-peak-changes")
			}
		})
	}
}

// chainOfTwo makes the runs, and returns where they lie.
func chainOfTwo(b *testing.B) (first, second string) {
	text := strings.Repeat("Thank you for calling, how can I help you today? ", 6)
	row := func(n int, version string) mirrortest.Row {
		key := schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since.Add(time.Duration(n%364)*24*time.Hour + time.Duration(n)*time.Millisecond)), ID: fmt.Sprintf("i-%09d", n)}
		return mirrortest.Row{Key: key, Line: fmt.Appendf(nil,
			`{"interaction_id":%q,"tenant_id":"acme","media_type":"chat","started_at":%q,"queue":"sales","contact_id":"c%d","text":"%s %s"}`, key.ID, key.Time, n%50_000, text, version)}
	}
	all := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", RowsOfAPart: 100_000}
	for n := range *rows {
		all.Rows = append(all.Rows, row(n, "first"))
	}
	link := all.Write(b)
	changed := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", RowsOfAPart: 100_000, After: link}
	for n := range *changes {
		at := n * (*rows / *changes)
		if n%10 > 0 {
			changed.Rows = append(changed.Rows, row(at, "second"))
			continue
		}
		r := row(at, "")
		changed.Removed = append(changed.Removed, schemas.Removal{ID: r.Key.ID, Time: r.Key.Time, Reason: schemas.RemovedFilter})
	}
	return link.Dir, changed.Write(b).Dir
}

// measured is how long a sync takes, and its resident memory at most, in MiB.
func measured(b *testing.B, from string, to place, args []string) (took time.Duration, peak float64) {
	b.Helper()
	cmd := sync(b, from, to, args)
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Not the peak that wait(2) gives: that counts what this process had when it started the other.
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case err := <-ended:
			tick.Stop()
			if err != nil {
				b.Fatalf("%v: %s", err, cmd.Stderr)
			}
			return time.Since(begun), peak
		case <-tick.C:
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)) // gone once it has ended
			_, line, _ := strings.Cut(string(status), "VmHWM:")
			var kib float64
			if _, err := fmt.Sscan(line, &kib); err == nil {
				peak = max(peak, kib/1024)
			}
		}
	}
}
