package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// A line whose benchmark was renamed would guard nothing.
func TestEveryLineOfTheBudgetNamesABenchmark(t *testing.T) {
	lines, err := read(budget)
	if err != nil || len(lines) == 0 {
		t.Fatalf("%d lines: %v", len(lines), err)
	}
	for _, l := range lines {
		files, _ := filepath.Glob(filepath.Join("../../..", l.Package, "*_test.go"))
		name, _, part := strings.Cut(l.Benchmark, "/")
		defines, found := regexp.MustCompile(`(?ms)^func `+name+`\(b \*testing\.B\).*?^}`), false
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if body := defines.Find(content); body != nil {
				found = true
				if parts := bytes.Contains(body, []byte("b.Run(")); parts != part {
					t.Errorf("%s: a benchmark has parts: %t, and its line names one: %t", l.Benchmark, parts, part)
				}
			}
		}
		if !found {
			t.Errorf("./%s has no %s", l.Package, name)
		}
	}
}

func TestLinesOverTheBudgetFail(t *testing.T) {
	lines := []line{{"p", "BenchmarkA", "ns/op", 1.1}, {"p", "BenchmarkB/c", "B/record", 1.1}, {"p", "BenchmarkNew", "ns/op", 1.1}}
	printed := func(a, b float64) results {
		r := results{}
		for _, worse := range []float64{1, 1.5} { // the least of several runs counts
			r.add("BenchmarkA", fmt.Appendf(nil, "goos: linux\nBenchmarkA-%d   100   %g ns/op   7 B/op\nPASS\n", runtime.GOMAXPROCS(0), a*worse))
			r.add("BenchmarkB/c", fmt.Appendf(nil, "BenchmarkB/c-%d   100   0 ns/op   %g B/record\n", runtime.GOMAXPROCS(0), b*worse))
		}
		return r
	}
	ours := printed(109, 50)
	ours.add("BenchmarkNew", fmt.Appendf(nil, "BenchmarkNew-%d 1 5 ns/op\n", runtime.GOMAXPROCS(0)))
	if err := judge(lines, ours, printed(100, 50), "parent"); err != nil {
		t.Errorf("within the budget: %v", err)
	}
	ours = printed(111, 50)
	err := judge(lines[:2], ours, printed(100, 50), "parent")
	if err == nil || !strings.Contains(err.Error(), "BenchmarkA: 111 ns/op against 100") || strings.Contains(err.Error(), "BenchmarkB") {
		t.Errorf("over the budget: %v", err)
	}
	if err := judge(lines, ours, printed(111, 50), "parent"); err == nil || !strings.Contains(err.Error(), "BenchmarkNew of ./p reports no ns/op") {
		t.Errorf("a benchmark that does not run: %v", err)
	}
}
