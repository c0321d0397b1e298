package main

import (
	"cmp"
	"fmt"
	"slices"
)

// figure is one line of the report.
type figure struct {
	Name string `json:"name"`
	// Ratio compares CDDS to Against; Value stands alone, in Unit.
	Ratio *float64 `json:"ratio,omitempty"`
	Value *float64 `json:"value,omitempty"`
	Unit  string   `json:"unit"`
	// Against names the alternative.
	Against string `json:"against,omitempty"`
	// Runs are the single results in the order they were measured.
	Runs []float64 `json:"runs"`
	// Others are those of the alternative.
	Others []float64 `json:"others,omitempty"`
	// Target is what was promised, as text; Met says whether it holds.
	Target string `json:"target,omitempty"`
	Met    *bool  `json:"met,omitempty"`
	Note   string `json:"note,omitempty"`
	// Of says what it was measured with: figures of other texts or processors compare with
	// nothing here.
	Of conditions `json:"of"`
}

// conditions are what a figure depends on besides the code.
type conditions struct {
	Texts     string `json:"texts"`
	Processor string `json:"processor"`
	// RecordBytes is the mean size of an interaction's JSON.
	RecordBytes int `json:"record_bytes"`
}

// target is a bound on a figure.
type target struct {
	text  string
	holds func(float64) bool
}

func atLeast(x float64) target {
	return target{fmt.Sprintf("at least %g", x), func(v float64) bool { return v >= x }}
}

func atMost(x float64) target {
	return target{fmt.Sprintf("at most %g", x), func(v float64) bool { return v <= x }}
}

// value is a figure of its own: the median of runs.
func value(name, unit string, runs []float64, t ...target) figure {
	m := median(runs)
	f := figure{Name: name, Value: &m, Unit: unit, Runs: runs}
	return f.judged(m, t)
}

// ratio compares runs with others, pair by pair, as they were measured in turn; the
// median pair counts.
func ratio(name, unit, against string, runs, others []float64, t ...target) figure {
	pairs := make([]float64, min(len(runs), len(others)))
	for i := range pairs {
		pairs[i] = runs[i] / others[i]
	}
	m := median(pairs)
	f := figure{Name: name, Ratio: &m, Unit: unit, Against: against, Runs: runs, Others: others}
	return f.judged(m, t)
}

func (f figure) judged(v float64, t []target) figure {
	if len(t) > 0 {
		met := t[0].holds(v)
		f.Target, f.Met = t[0].text, &met
	}
	return f
}

func (f figure) noted(format string, args ...any) figure {
	f.Note = fmt.Sprintf(format, args...)
	return f
}

func median(runs []float64) float64 { return quantile(runs, 0.5) }

// quantile of runs, between neighbours for the median of an even number.
func quantile(runs []float64, q float64) float64 {
	if len(runs) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(runs), cmp.Compare)
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}
