package pipeline

import (
	"fmt"
	"path"

	"cdds/schemas"
)

// Names of the documents that decide what an export is, beside its artifacts.
const (
	acceptedName  = "accepted.json"
	planName      = "plan.json"
	cancelledName = "cancelled.json"
	endedName     = "ended.json"
)

func attemptName(n int) string { return fmt.Sprintf("attempt-%04d.json", n) }
func failedName(n int) string  { return fmt.Sprintf("failed-%04d.json", n) }

// IsOwn reports whether an export of this id can have an object of this name: a
// decision or an artifact.
func IsOwn(exportID, name string) bool {
	return isDecision(name) || schemas.IsArtifact(exportID, name)
}

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
