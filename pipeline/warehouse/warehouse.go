// Package warehouse is the rows of exports and their account: it stores interactions and
// contacts with their positions, reads them as of a snapshot, says what became of every
// position, and erases.
//
// Inserts may be repeated, and reads never depend on merges having happened: see package
// tables. History is the ledger's.
package warehouse

import (
	"embed"
	"fmt"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

//go:embed sql/*.sql
var files embed.FS

// Schema is the warehouse's tables.
func Schema() tables.Schema {
	return tables.Schema{Files: files, ShardedBy: map[string]string{
		"interactions":    "interaction_id",
		"contacts":        "contact_id",
		"dead_letters":    "topic, source_partition, source_offset",
		"accounted":       "topic, source_partition",
		"incarnations":    "topic",
		"erased_subjects": "erasure_id",
		"erased_rows":     "topic, source_partition, source_offset",
		"aged_out":        "tenant_id",
	}}
}

// Warehouse stores and reads rows. It is safe for concurrent use.
type Warehouse struct{ db *tables.Database }

// New returns the Warehouse of a database.
func New(db *tables.Database) *Warehouse { return &Warehouse{db} }

// table says where the rows of an entity are.
type table struct {
	name, time, id string
	media          bool
}

// attached is what says whether a row may have attachments; it has if it is stated.
func (t table) attached() string {
	if t.name == "interactions" {
		return "(attached OR NOT stated)"
	}
	return "0"
}

// erasedKind is what erased_subjects calls the ids of the rows.
func (t table) erasedKind() string {
	if t.name == "interactions" {
		return schemas.ErasedInteraction
	}
	return schemas.ErasedContact
}

func tableOf(entity string) (table, error) {
	switch entity {
	case schemas.EntityInteraction:
		return table{"interactions", "started_at", "interaction_id", true}, nil
	case schemas.EntityContact:
		return table{"contacts", "created_at", "contact_id", false}, nil
	}
	return table{}, fmt.Errorf("there is no table of entity %q", entity)
}
