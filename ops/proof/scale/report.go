package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cdds/schemas"
)

// figure is how long a page or a call took, in order.
type figure struct {
	tenant, path string
	when         string // of an export of many parts: "", or that it ran
	times        []time.Duration
	bytes        int
}

// taken is how long a pass took.
type taken struct {
	pass string
	time time.Duration
}

type report struct {
	sizes   sizes
	started time.Duration // until the web role let the first user in
	figures []figure
	passes  []taken
	resides []string
	parts   int // of the export of many
	steps   []step
	kept    []size
	waits   []waitRate
}

// waitRate is how often services are asked while so many exports wait.
type waitRate struct {
	exports int
	rate
}

// size is how large something is.
type size struct {
	of    string
	bytes int64
}

func (r *report) size(of string, bytes int64) { r.kept = append(r.kept, size{of, bytes}) }

// last is the figure that was noted last.
func (r *report) last() *figure { return &r.figures[len(r.figures)-1] }

// step is one of an export of many parts, and the memory it took.
type step struct {
	name   string
	time   time.Duration
	memory string
}

func (r *report) step(name string, took time.Duration, memory string) {
	fmt.Fprintf(os.Stderr, "%s: %s %s\n", name, took.Round(10*time.Millisecond), memory)
	r.steps = append(r.steps, step{name, took, memory})
}

// printParts writes the tables of one export of many parts, in Markdown.
func (r *report) printParts(w io.Writer) {
	fmt.Fprintf(w, "An export of %s\n\n| step | seconds | resident at most |\n|---|---|---|\n", schemas.Counted(r.parts, "part"))
	for _, s := range r.steps {
		fmt.Fprintf(w, "| %s | %.1f | %s |\n", s.name, s.time.Seconds(), s.memory)
	}
	fmt.Fprintf(w, "\n| what | bytes |\n|---|---|\n")
	for _, k := range r.kept {
		fmt.Fprintf(w, "| %s | %d |\n", k.of, k.bytes)
	}
	fmt.Fprintf(w, "\nResident memory: %s.\n", strings.Join(r.resides, ", "))
	fmt.Fprintf(w, "\n| page or call | p50 ms | p99 ms | KiB |\n|---|---|---|---|\n")
	for _, f := range r.figures {
		fmt.Fprintf(w, "| `%s`%s | %.0f | %.0f | %d |\n", f.path, f.when, ms(f.at(50)), ms(f.at(99)), (f.bytes+1023)>>10)
	}
}

// printWaiting writes the tables of exports that wait, in Markdown.
func (r *report) printWaiting(w io.Writer) {
	fmt.Fprintf(w, "| exports that wait | requests to Kafka a second | queries to ClickHouse a second | CPU of the worker, cores |\n|---|---|---|---|\n")
	for _, of := range r.waits {
		fmt.Fprintf(w, "| %d | %.1f | %.1f | %.2f |\n", of.exports, of.kafka, of.clickhouse, of.cpu)
	}
	fmt.Fprintf(w, "\n| step | seconds | resident at most |\n|---|---|---|\n")
	for _, s := range r.steps {
		fmt.Fprintf(w, "| %s | %.2f | %s |\n", s.name, s.time.Seconds(), s.memory)
	}
	for _, k := range r.kept {
		fmt.Fprintf(w, "\n%s: %d\n", k.of, k.bytes)
	}
	fmt.Fprintf(w, "\nResident memory: %s.\n", strings.Join(r.resides, ", "))
}

// memory notes what this process, which is the web role and retention, and the stack's hold.
func (r *report) memory(children map[string]int) {
	r.resides = append(r.resides, "web and retention: "+resident(os.Getpid()))
	for name, pid := range children {
		r.resides = append(r.resides, name+": "+resident(pid))
	}
}

func resident(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d MiB", kib>>10)
}

// print writes the tables, in Markdown.
func (r *report) print(w io.Writer) {
	n := r.sizes
	fmt.Fprintf(w, "%d tenants and certificates, %d jobs, %d exports of which %d have artifacts\n\n", n.tenants, n.jobs, n.exports, n.kept)
	fmt.Fprintf(w, "| tenant | page or call | p50 ms | p99 ms | KiB |\n|---|---|---|---|---|\n")
	for _, f := range r.figures {
		fmt.Fprintf(w, "| `%s` | `%s` | %.0f | %.0f | %d |\n", f.tenant, f.path, ms(f.at(50)), ms(f.at(99)), (f.bytes+1023)>>10)
	}
	fmt.Fprintf(w, "\n| pass or start | seconds |\n|---|---|\n")
	fmt.Fprintf(w, "| first sign-in after a start of the web role | %.1f |\n", r.started.Seconds())
	for _, p := range r.passes {
		fmt.Fprintf(w, "| %s, nothing due | %.1f |\n", p.pass, p.time.Seconds())
	}
	fmt.Fprintf(w, "\nResident memory: %s.\n", strings.Join(r.resides, ", "))
}

// at is the time that so many of a hundred requests did not exceed.
func (f figure) at(percent int) time.Duration {
	return f.times[(len(f.times)*percent+99)/100-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
