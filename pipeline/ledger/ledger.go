// Package ledger is history: what became of exports and erasures, their artifacts, who
// did what, and which webhooks were sent. It is what consumers of the status, audit and
// delivery topics store, and what people and the scheduler read.
package ledger

import (
	"embed"
	"time"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

//go:embed sql/*.sql
var files embed.FS

// Schema is the ledger's tables.
func Schema() tables.Schema {
	return tables.Schema{Files: files, ShardedBy: map[string]string{
		"export_events":      "export_id",
		"exports":            "export_id",
		"artifacts":          "export_id",
		"audit":              "audit_id",
		"erasures":           "erasure_id",
		"webhook_deliveries": "job_id",
	}}
}

// Ledger stores and reads history. It is safe for concurrent use.
type Ledger struct{ db *tables.Database }

// New returns the Ledger of a database.
func New(db *tables.Database) *Ledger { return &Ledger{db} }

func nullable(t schemas.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t.Time
}

// timeOf is a Nullable(DateTime64) as a Time.
func timeOf(t *time.Time) schemas.Time {
	if t == nil {
		return schemas.Time{}
	}
	return schemas.TimeOf(*t)
}
