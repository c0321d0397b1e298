package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// report collects what happened. It is safe for concurrent use.
type report struct {
	mu         sync.Mutex
	faults     map[string]int
	laws       map[string]int // how often each was checked
	facts      map[string]int64
	violations []string
}

func newReport() *report {
	return &report{faults: map[string]int{}, laws: map[string]int{}, facts: map[string]int64{}}
}

// fault counts a fault that struck.
func (r *report) fault(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[kind]++
}

func (r *report) faulted() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.faults {
		n += of
	}
	return n
}

// holds counts one check of a law, and its violation unless ok.
func (r *report) holds(law string, ok bool, format string, args ...any) {
	r.mu.Lock()
	r.laws[law]++
	r.mu.Unlock()
	if !ok {
		r.violated(law, format, args...)
	}
}

func (r *report) violated(law, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.laws[law] = max(r.laws[law], 1)
	r.violations = append(r.violations, law+": "+fmt.Sprintf(format, args...))
}

// fact adds to a number worth knowing.
func (r *report) fact(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts[name] += n
}

// peak keeps the largest of a number.
func (r *report) peak(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts[name] = max(r.facts[name], n)
}

// printed bounds the violations shown; a broken law tends to break often.
const printed = 40

func (r *report) print(o options) {
	fmt.Printf("\nseed %d\n\nfaults\n", o.seed)
	for _, kind := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Printf("  %6d  %s\n", r.faults[kind], kind)
	}
	fmt.Printf("  %6d  in all\n\nwork\n", r.faulted())
	for _, name := range slices.Sorted(maps.Keys(r.facts)) {
		fmt.Printf("  %6d  %s\n", r.facts[name], name)
	}
	fmt.Println("\nlaws checked")
	for _, law := range slices.Sorted(maps.Keys(r.laws)) {
		fmt.Printf("  %6d  %s\n", r.laws[law], law)
	}
	fmt.Printf("\nviolations: %d\n", len(r.violations))
	for _, v := range r.violations[:min(len(r.violations), printed)] {
		fmt.Println("  " + v)
	}
}
