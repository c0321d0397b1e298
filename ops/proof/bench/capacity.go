package main

import (
	"fmt"
	"math"
	"strings"
)

// Figures the capacity model is computed from.
const (
	ingestRoleCPU   = "ingest: CPU of the role"
	ingestEngineCPU = "ingest: CPU of the engine"
	ingestBrokerCPU = "ingest: CPU of the broker"
	exportWorkerCPU = "export: CPU of the worker"
	exportEngineCPU = "export: CPU of the engine"
	exportStoreCPU  = "export: CPU of the store"
	sealedShare     = "export: stored bytes"
	recordBytes     = "ingest: size of a record"
	storedBytes     = "ingest: size on disk"
)

// What the model assumes and cannot measure here.
const (
	// peakFactor is the busiest second of a day against the mean: contact centres work
	// by day.
	peakFactor = 3
	// headroom is how much of a core is planned for; the rest is for catching up.
	headroom = 0.6
	// exportShare is how much of a day's data is exported a day.
	exportShare = 1.0
	gbit        = 1e9 / 8
)

// median of a figure by name; false if it was not measured.
func (r *report) figure(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return median(f.Runs), true
		}
	}
	return 0, false
}

// capacity is the plan beyond this machine, as a section of Markdown; empty if what
// it needs was not measured.
func (r *report) capacity() string {
	v := map[string]float64{}
	for _, name := range []string{ingestRoleCPU, ingestEngineCPU, ingestBrokerCPU, exportWorkerCPU, exportEngineCPU, exportStoreCPU, sealedShare, recordBytes, storedBytes} {
		got, ok := r.figure(name)
		if !ok {
			return ""
		}
		v[name] = got
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Scale

Computed by `+"`make bench`"+` from what it measured (see [benchmarks](benchmarks.md)); do not edit. A record has
%s bytes of JSON and takes %s bytes on disk; a core carries %s records/s through ingest and %s MB/s
through a worker. Planned are %g times the mean rate for the busiest hour, and %.0f %% of each core.

| interactions a day | records/s, peak | partitions | ingest cores | ClickHouse cores, writing | broker MB/s in | disk per day | worker cores to export a day in 8 h | S3 Gbit/s then | first to give way |
|---|---|---|---|---|---|---|---|---|---|
`, round(v[recordBytes]), round(v[storedBytes]), round(1e6/v[ingestRoleCPU]), round(1e3/v[exportWorkerCPU]), float64(peakFactor), headroom*100)
	for _, perDay := range []float64{10e6, 1e9, 10e9} {
		peak := perDay / 86400 * peakFactor
		cores := func(micros float64) float64 { return math.Ceil(peak * micros / 1e6 / headroom) }
		ingestCores, engineCores := cores(v[ingestRoleCPU]), cores(v[ingestEngineCPU])
		// A partition is decoded by one goroutine: at most one core's worth.
		partitions := math.Max(4, math.Ceil(ingestCores*1.5))
		gbPerDay := perDay * v[recordBytes] / 1e9
		workerCores := math.Ceil(gbPerDay * exportShare * v[exportWorkerCPU] / (8 * 3600) / headroom)
		s3 := gbPerDay * 1e9 * exportShare * v[sealedShare] / (8 * 3600) / gbit
		fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f | %.0f | %s | %s GB | %.0f | %.2f | %s |\n", count(int(perDay)), round(peak), partitions, ingestCores, engineCores,
			round(peak*v[recordBytes]/1e6), round(perDay*v[storedBytes]/1e9), workerCores, s3, bottleneck(engineCores, s3))
	}
	terabyte := 1e12
	fmt.Fprintf(&b, `
## One export of 1 TB of JSON Lines

%s rows, %s parts of 64 MiB, %s GB to store. With one tenant's slots on n worker cores:

| worker cores | hours | ClickHouse cores, reading | S3 Gbit/s |
|---|---|---|---|
`, count(int(terabyte/v[recordBytes])), count(int(terabyte/(64<<20))), round(terabyte*v[sealedShare]/1e9))
	for _, cores := range []float64{4, 16, 64} {
		seconds := terabyte / 1e9 * v[exportWorkerCPU] / cores
		fmt.Fprintf(&b, "| %.0f | %.1f | %.1f | %.2f |\n", cores, seconds/3600, terabyte/1e9*v[exportEngineCPU]/seconds, terabyte*v[sealedShare]/seconds/gbit)
	}
	b.WriteString(r.checked(v))
	return b.String()
}

// bottleneck names what gives way first as load grows from here.
func bottleneck(engineCores, s3 float64) string {
	switch {
	case engineCores > 32:
		return "ClickHouse inserts: shard by interaction id (one shard carries about 32 cores)"
	case s3 > 10:
		return "S3 bandwidth: spread the day's exports"
	case engineCores > 8:
		return "ClickHouse merges: a larger server, or two shards"
	}
	return "nothing: one machine of each"
}

// checked holds the model against what was measured on this machine, where all
// services share the cores: the sum of CPU predicts the rate.
func (r *report) checked(v map[string]float64) string {
	var b strings.Builder
	b.WriteString("\n## Where the model can be checked\n\nOn the machine of the benchmarks every service shares the cores, so the CPU of all of them together\npredicts the rate. What is missing to the prediction is waiting: start-up, the last batch, the network.\n\n| figure | predicted | measured | measured/predicted |\n|---|---|---|---|\n")
	row := func(name string, predicted float64, prefix, unit string) {
		for _, f := range r.Figures {
			if strings.HasPrefix(f.Name, prefix) {
				got := median(f.Runs)
				fmt.Fprintf(&b, "| %s | %s %s | %s %s | %.2f |\n", name, round(predicted), unit, round(got), unit, got/predicted)
				return
			}
		}
	}
	cores := float64(r.Cores)
	row("ingest", cores*1e6/(v[ingestRoleCPU]+v[ingestEngineCPU]+v[ingestBrokerCPU]), fmt.Sprintf("ingest %s records", count(r.Rows)), "records/s")
	row("export", cores*1e3/(v[exportWorkerCPU]+v[exportEngineCPU]+v[exportStoreCPU]), fmt.Sprintf("export %s rows, standard: throughput", count(r.Rows)), "MB/s")
	return b.String()
}
