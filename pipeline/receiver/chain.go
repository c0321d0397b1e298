package receiver

import (
	"cmp"
	"slices"

	"cdds/schemas"
)

// Run is an export whose manifest was verified, and what to call it where something is wrong,
// such as its directory.
type Run struct {
	Name   string
	Report Report
}

// VerifyChain reports whether runs are of one chain, without repetition or gap, and each names
// the manifest of the one before. It sorts them by number. A run that holds everything follows
// any other: a receiver starts over with it. The first may continue one that is not there. What
// is wrong is an *UnprovenError.
func VerifyChain(runs []Run) error {
	var found findings
	wrong := func(r Run, format string, args ...any) {
		_ = found.take(violated(r.Name, RuleChain, format, args...))
	}
	for _, r := range runs {
		if r.Report.Manifest.Chain == nil {
			wrong(r, "it is not a run of a job's chain")
		}
	}
	if err := found.err(); err != nil {
		return err
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return cmp.Compare(a.Report.Manifest.Chain.Number, b.Report.Manifest.Chain.Number) })
	for i, r := range runs[1:] {
		before, m := runs[i].Report, r.Report.Manifest
		c, last := m.Chain, before.Manifest.Chain
		switch {
		case m.TenantID != before.Manifest.TenantID || c.JobID != last.JobID:
			wrong(r, "it is a run of job %s of tenant %s, and %s one of job %s of tenant %s", c.JobID, m.TenantID, runs[i].Name, last.JobID, before.Manifest.TenantID)
		case c.Number == last.Number:
			wrong(r, "it is run %d, and so is %s", c.Number, runs[i].Name)
		case c.Whole():
		case c.Number > last.Number+1:
			wrong(r, "it is run %d, and %s missing before it", c.Number, missingRuns(last.Number+1, c.Number-1))
		case c.PreviousManifestSHA256 != before.ManifestSHA256:
			wrong(r, "it continues export %s, whose manifest has SHA-256 %s, and %s is %s with %s", c.PreviousExportID, c.PreviousManifestSHA256, runs[i].Name, before.Manifest.ExportID, before.ManifestSHA256)
		}
	}
	return found.err()
}

// missingRuns names the runs from first to last.
func missingRuns(first, last int) string {
	if first == last {
		return "run " + schemas.Grouped(first) + " is"
	}
	return "runs " + schemas.Grouped(first) + " to " + schemas.Grouped(last) + " are"
}
