package receiver

import "cdds/schemas"

// Expected says which export a directory must be. What is empty may be any.
type Expected struct {
	TenantID, ExportID string
	// JobID is the job of whose chain it must be a run, and Number which one.
	JobID  string
	Number int
	// After is the SHA-256 of the manifest of the run that it must continue.
	After string
}

// check is a *Violation for each way in which a manifest is of another export.
func (x Expected) check(m *schemas.Manifest, found *findings) {
	differs := func(format string, args ...any) {
		_ = found.take(violated(schemas.ManifestName, RuleExpected, format, args...))
	}
	if x.TenantID != "" && m.TenantID != x.TenantID {
		differs("it is of tenant %s, not of %s", m.TenantID, x.TenantID)
	}
	if x.ExportID != "" && m.ExportID != x.ExportID {
		differs("it is export %s, not %s", m.ExportID, x.ExportID)
	}
	if x.JobID == "" && x.Number == 0 && x.After == "" {
		return
	}
	if m.Chain == nil {
		differs("it is not a run of a job's chain")
		return
	}
	if x.JobID != "" && m.Chain.JobID != x.JobID {
		differs("it is a run of job %s, not of %s", m.Chain.JobID, x.JobID)
	}
	if x.Number != 0 && m.Chain.Number != x.Number {
		differs("it is run %d of its chain, not run %d", m.Chain.Number, x.Number)
	}
	switch {
	case x.After == "" || m.Chain.PreviousManifestSHA256 == x.After:
	case m.Chain.Whole():
		differs("it continues no other run: a receiver starts over with it")
	default:
		differs("it continues export %s, whose manifest has SHA-256 %s, not %s", m.Chain.PreviousExportID, m.Chain.PreviousManifestSHA256, x.After)
	}
}
