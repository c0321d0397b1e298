package mirror

import (
	"fmt"

	"cdds/schemas"
)

// LinkError says why a run does not come next. Nothing of it was applied.
type LinkError struct {
	ExportID string
	Detail   string
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("run %s does not come next: %s", e.ExportID, e.Detail)
}

// follows is a *LinkError unless the run of a manifest, which has the digest sha256, comes
// right after a position: the next number, naming the run before by its digest. A run that
// continues none comes after any position, since it holds everything.
func (p Position) follows(m *schemas.Manifest) error {
	wrong := func(format string, args ...any) error {
		return &LinkError{m.ExportID, fmt.Sprintf(format, args...)}
	}
	c := m.Chain
	switch {
	case c == nil:
		return wrong("it is not a run of a job that exports what changed since its last run")
	case p.TenantID != "" && m.TenantID != p.TenantID:
		return wrong("it is one of tenant %s, and the copy is of tenant %s", m.TenantID, p.TenantID)
	case p.JobID != "" && c.JobID != p.JobID:
		return wrong("it is one of job %s, and the copy is of job %s", c.JobID, p.JobID)
	case p.Entity != m.Filter.Entity:
		return wrong("it has rows of the kind %s, and the copy %s", m.Filter.Entity, p.Entity)
	case c.Number <= p.Number:
		return wrong("it is run %d, and run %d was applied already", c.Number, p.Number)
	case c.Whole():
		return nil
	case c.Number > p.Number+1:
		return wrong("it is run %d, and run %d is missing", c.Number, p.Number+1)
	case c.PreviousExportID != p.ExportID || c.PreviousManifestSHA256 != p.ManifestSHA256:
		return wrong("it continues run %s with the manifest %.12s, and applied was run %s with %.12s", c.PreviousExportID, c.PreviousManifestSHA256, p.ExportID, p.ManifestSHA256)
	}
	return nil
}

// after is the position once the run of a manifest was applied.
func (p Position) after(m *schemas.Manifest, sha256 string, now schemas.Time) Position {
	return Position{
		TenantID: m.TenantID, JobID: m.Chain.JobID, Entity: m.Filter.Entity, Number: m.Chain.Number,
		ExportID: m.ExportID, ManifestSHA256: sha256, AppliedAt: now, Format: Format,
	}
}
