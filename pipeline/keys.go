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
	linkName      = "chain.json"
)

func attemptName(n int) string { return fmt.Sprintf("attempt-%04d.json", n) }
func failedName(n int) string  { return fmt.Sprintf("failed-%04d.json", n) }

func quotaName(n int) string { return fmt.Sprintf("quota-%04d.json", n) }

func refusedName(from Origin) string {
	return fmt.Sprintf("refused-%06d-%020d.json", from.Partition, from.Offset)
}

// IsOwn reports whether an export of this id can have an object of this name: a
// decision or an artifact. Refusals are not the export's, but that of a message.
func IsOwn(exportID, name string) bool {
	return isDecision(name) && !isRefusal(name) || schemas.IsArtifact(exportID, name)
}

// isDecision tells documents that decide what an export is from its artifacts.
func isDecision(name string) bool {
	switch name {
	case acceptedName, planName, cancelledName, endedName, linkName:
		return true
	}
	attempt, _ := path.Match("attempt-*.json", name)
	failed, _ := path.Match("failed-*.json", name)
	quota, _ := path.Match("quota-*.json", name)
	return attempt || failed || quota || isRefusal(name)
}

// isRefusal reports whether a document says that a message was refused.
func isRefusal(name string) bool {
	refused, _ := path.Match("refused-*.json", name)
	return refused
}
