package pipeline

import (
	"fmt"
	"path"

	"cdds/schemas"
)

// Prefix is where everything of an export is stored. Tenant and export ids are
// limited to characters that cannot leave it.
func Prefix(tenantID, exportID string) string { return tenantID + "/" + exportID + "/" }

// PartName is the file name of a part, such as
// "interaction-01JD-0001.jsonl.zip.p7m".
func PartName(entity, exportID string, number int) string {
	return fmt.Sprintf("%s-%s-%04d.jsonl.zip.p7m", entity, exportID, number)
}

// EntryName is the name of the one file in a part's zip. It leaves out the export
// id, so that equal content gives an equal zip.
func EntryName(entity string, number int) string {
	return fmt.Sprintf("%s-%04d.jsonl", entity, number)
}

// Names of the documents that decide what an export is, beside its artifacts.
const (
	acceptedName  = "accepted.json"
	planName      = "plan.json"
	cancelledName = "cancelled.json"
	endedName     = "ended.json"
)

func attemptName(n int) string { return fmt.Sprintf("attempt-%04d.json", n) }
func failedName(n int) string  { return fmt.Sprintf("failed-%04d.json", n) }

// isDecision tells documents that decide what an export is from its artifacts.
func isDecision(name string) bool {
	switch name {
	case acceptedName, planName, cancelledName, endedName:
		return true
	}
	attempt, _ := path.Match("attempt-*.json", name)
	failed, _ := path.Match("failed-*.json", name)
	return attempt || failed
}

// subject is what the file names of a part begin with: what it holds.
func subject(f schemas.Filter, p schemas.Part) string {
	if p.Kind != "" {
		return p.Kind
	}
	return f.Entity
}
